for (const clip of document.querySelectorAll(".clip")) {
  const find = (name) => clip.querySelector(name);
  const pictures = JSON.parse(find(".pictures").textContent);
  const compare = find(".compare"), at = find(".at");
  const move = (percent) => compare.style.setProperty("--at", percent + "%");
  const choose = (select, image) => select.addEventListener("change", () => {
    image.src = pictures[select.selectedIndex];
    image.alt = clip.dataset.clip + ", " + select.selectedOptions[0].textContent;
  });
  choose(find(".left"), find(".under"));
  choose(find(".right"), find(".over"));
  at.addEventListener("input", () => move(at.value));
  const drag = (event) => {
    const box = compare.getBoundingClientRect();
    at.value = Math.max(0, Math.min(100, 100 * (event.clientX - box.left) / box.width));
    move(at.value);
  };
  compare.addEventListener("pointerdown", drag);
  compare.addEventListener("pointermove", (event) => { if (event.buttons || event.pointerType === "mouse") drag(event); });
}
