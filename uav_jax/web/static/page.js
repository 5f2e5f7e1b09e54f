// The page shows the server's state and nothing of its own, so a reload loses nothing.
"use strict";

const $ = (id) => document.getElementById(id);
const FIELDS = ["prompt", "scale", "noise_level", "guidance_scale", "inference_steps", "color_fix", "propagation", "from", "to", "hdr", "deinterlace"];
const BOXES = ["propagation", "deinterlace"];
let state = null;
let asking = 0;

function fail(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

async function call(path, values) {
  const options = values === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values),
  };
  let answer, body;
  try {
    answer = await fetch(`api/${path}`, options);
    body = await answer.json();
  } catch {
    throw new Error("The server does not answer.");
  }
  if (!answer.ok) throw new Error(body.error);
  return body;
}

function clock(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function values() {
  return {
    prompt: $("prompt").value,
    scale: Number($("scale").value),
    noise_level: Number($("noise_level").value),
    guidance_scale: Number($("guidance_scale").value),
    inference_steps: Number($("inference_steps").value),
    color_fix: $("color_fix").value,
    propagation: $("propagation").checked,
    from: $("from").value,
    to: $("to").value,
    hdr: $("hdr").value,
    deinterlace: $("deinterlace").checked,
    frame: Number($("frame").value),
    x: Number($("x").value),
    y: Number($("y").value),
  };
}

function fill(chosen) {
  for (const name of FIELDS) {
    if (chosen[name] === undefined) continue;
    if (BOXES.includes(name)) $(name).checked = chosen[name];
    else $(name).value = chosen[name];
  }
  for (const name of ["frame", "x", "y"]) if (chosen[name] !== undefined) $(name).value = chosen[name];
  label();
}

function label() {
  for (const name of ["noise_level", "guidance_scale", "inference_steps"]) $(`o-${name}`).value = $(name).value;
  const video = state.video;
  if (!video) return;
  $("o-frame").value = `${(Number($("frame").value) / video.rate).toFixed(1)} s`;
  const box = $("square").style;
  const place = (at, size) => Math.min(Math.max(0, at * size - video.square / 2), size - video.square) / size * 100;
  box.left = `${place(Number($("x").value), video.width)}%`;
  box.top = `${place(Number($("y").value), video.height)}%`;
  box.width = `${video.square / video.width * 100}%`;
  box.height = `${video.square / video.height * 100}%`;
}

async function plan() {
  const mine = ++asking;
  $("plan").textContent = "Working out how long it takes …";
  try {
    const p = await call("plan", values());
    if (mine !== asking) return;
    const parts = [
      `Result: ${p.width} × ${p.height}.`,
      `About ${clock(p.seconds)} once started, ${(p.memory / 2 ** 30).toFixed(1)} GiB of memory.`,
      `${p.scenes} scene${p.scenes > 1 ? "s" : ""}, ${p.tiles} tile${p.tiles > 1 ? "s" : ""}.`,
    ];
    if (p.frames !== state.video.frames) parts.push(`${p.frames} of ${state.video.frames} frames.`);
    parts.push(...p.notes.map((note) => `${note}.`));
    $("plan").textContent = parts.join(" ");
  } catch (error) {
    if (mine === asking) $("plan").textContent = error.message;
  }
}

// A pair of pictures with a slider, frame by frame.
function comparison(place, of, numbers, version) {
  if (place.dataset.version === version) return;
  place.dataset.version = version;
  place.replaceChildren($("compare").content.cloneNode(true));
  const [before, after] = place.querySelectorAll("img");
  const pair = place.querySelector(".pair");
  const at = place.querySelector(".at");
  const number = place.querySelector(".number");
  number.max = numbers.length - 1;
  const show = () => {
    const n = numbers[Number(number.value)];
    before.src = `api/still/${of}/before/${n}?${version}`;
    after.src = `api/still/${of}/after/${n}?${version}`;
    place.querySelector("output").value = n + 1;
  };
  at.addEventListener("input", () => pair.style.setProperty("--at", `${at.value}%`));
  number.addEventListener("input", show);
  show();
}

function status(run) {
  if (run.state === "waiting") return run.before ? `Waiting: ${run.before} before you` : "Waiting: you are next";
  const [phase, [done, total]] = Object.entries(run.phases).pop() || ["starting", [0, 0]];
  const words = { reading: "Reading", flow: "Following motion", denoising: "Making detail", decoding: "Making frames", pictures: "Preparing pictures" };
  return `${words[phase] || "Starting"}${total ? `: frame ${done} of ${total}` : ""}`;
}

function part(run) {
  const of = (name) => { const [done, total] = run.phases[name] || [0, 1]; return done / total; };
  return 0.45 * of("denoising") + 0.5 * of("decoding") + (run.kind === "preview" ? 0.05 * of("decoding") : 0.05 * of("pictures"));
}

const begun = { at: 0, part: 0 };
function remaining(run) {
  const now = part(run);
  if (run.state !== "running" || now < begun.part) { begun.at = 0; return ""; }
  if (!begun.at) { begun.at = Date.now(); begun.part = now; return ""; }
  const gained = now - begun.part;
  return gained > 0.02 ? ` · about ${clock((Date.now() - begun.at) / 1000 * (1 - now) / gained)} left` : "";
}

function render() {
  const { video, run, limits } = state;
  $("limits").textContent = `Up to ${limits.megabytes} MB and ${clock(limits.seconds)}. Only you see your files.`;
  for (const id of ["video", "settings", "try", "whole"]) $(id).hidden = !video;
  const active = run !== null && (run.state === "waiting" || run.state === "running");
  for (const id of ["start", "preview", "file", "forget"]) $(id).disabled = active;
  $("run").hidden = !active;
  if (active) {
    $("status").textContent = (run.kind === "preview" ? "Preview. " : "") + status(run) + remaining(run);
    $("run-bar").value = part(run);
  } else begun.at = 0;
  $("propagation").disabled = !state.flow;
  if (!state.flow) $("d-flow").textContent = "This model has no flow network.";
  if (!video) return;
  const sound = video.audio.length ? `sound (${video.audio.join(", ")})` : "no sound";
  $("facts").textContent = `${video.name}: ${video.width} × ${video.height}, ${video.frames} frames, ${video.seconds.toFixed(1)} s, ${sound}`;
  $("frame").max = Math.max(0, video.frames - 1);
  $("preview-result").hidden = !state.preview;
  const version = JSON.stringify([video.name, state.settings]);
  if (state.preview) comparison($("preview-result"), "preview", [...Array(state.preview).keys()], encodeURIComponent(version));
  $("done").hidden = !state.result;
  if (state.result) {
    if ($("result").dataset.version !== encodeURIComponent(version)) $("player").src = `api/result?${Date.now()}`;
    comparison($("result"), "result", state.stills, encodeURIComponent(version));
  }
}

let polling = null;
function follow() {
  clearTimeout(polling);
  render();
  if (!state.run || !["waiting", "running"].includes(state.run.state)) {
    if (state.run && state.run.state === "failed") fail(state.run.message);
    return;
  }
  polling = setTimeout(async () => {
    try { state = await call("state"); fail(""); } catch (error) { fail(error.message); }
    follow();
  }, 700);
}

async function act(path, sent) {
  fail("");
  try {
    Object.assign(state, await call(path, sent));
    if (path === "preview") delete $("preview-result").dataset.version;
    if (path === "run") delete $("result").dataset.version;
    follow();
  } catch (error) { fail(error.message); }
}

let latest = 0;
function showMoment() {
  const mine = ++latest;
  setTimeout(() => { if (mine === latest) $("moment").src = `api/moment/${$("frame").value}?${encodeURIComponent(state.video.name)}${state.video.frames}`; }, 150);
}

function upload(file) {
  fail("");
  if (file.size > state.limits.megabytes * 1e6) {
    return fail(`${file.name} is too large (${(file.size / 1e6).toFixed(1)} MB); up to ${state.limits.megabytes} MB are accepted`);
  }
  const request = new XMLHttpRequest();
  request.open("POST", `api/video?name=${encodeURIComponent(file.name)}`);
  request.upload.addEventListener("progress", (e) => { if (e.lengthComputable) $("upload-bar").value = e.loaded / e.total; });
  request.addEventListener("loadend", () => {
    $("uploading").hidden = true;
    $("file").value = "";
    let body = {};
    try { body = JSON.parse(request.responseText); } catch { body.error = "The upload was broken off."; }
    if (request.status !== 200) return fail(body.error || "The upload was broken off.");
    state = body;
    fresh();
  });
  $("uploading").hidden = false;
  request.send(file);
}

// A new video, or a page that was just opened.
function fresh() {
  follow();
  fill({ ...state.defaults, ...state.settings });
  if (state.video) { showMoment(); plan(); }
}

async function open() {
  try { state = await call("state"); } catch (error) { return fail(error.message); }
  $("noise_level").max = state.highest_noise_level;
  if (state.phrases) {
    $("d-prompt").textContent = `This model reads only: ${state.phrases.join(", ")}. Several are separated by commas.`;
    $("guidance_scale").max = 2;
    $("inference_steps").closest("div").hidden = true;
  }
  fresh();
}

$("file").addEventListener("change", () => { if ($("file").files.length) upload($("file").files[0]); });
for (const name of ["dragenter", "dragover"]) $("drop").addEventListener(name, (e) => { e.preventDefault(); $("drop").classList.add("over"); });
for (const name of ["dragleave", "drop"]) $("drop").addEventListener(name, () => $("drop").classList.remove("over"));
$("drop").addEventListener("drop", (e) => { e.preventDefault(); if (e.dataTransfer.files.length) upload(e.dataTransfer.files[0]); });
$("form").addEventListener("submit", (e) => e.preventDefault());
$("form").addEventListener("input", label);
$("form").addEventListener("change", plan);
$("frame").addEventListener("input", () => { label(); showMoment(); });
for (const id of ["x", "y"]) $(id).addEventListener("input", label);
$("picture").addEventListener("click", (e) => {
  const box = $("picture").getBoundingClientRect();
  $("x").value = (e.clientX - box.left) / box.width;
  $("y").value = (e.clientY - box.top) / box.height;
  label();
});
$("preview").addEventListener("click", () => act("preview", values()));
$("start").addEventListener("click", () => act("run", values()));
$("cancel").addEventListener("click", () => act("cancel", {}));
$("forget").addEventListener("click", async () => { await act("forget", {}); fill(state.defaults); });
open();
