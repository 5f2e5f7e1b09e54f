"""``infer.py`` as its user runs it, with the model that ships, on tiny clips."""

import json
import os
import shutil
from pathlib import Path

import av
import jax
import numpy as np
import pytest
from PIL import Image

from tests.clips import audio_packets, make_video, smooth_frames
from tests.stub import stub_upscaler
from tests.video.bombs import gif
from uav_jax.cli import main, report
from uav_jax.jobs.outputs import record_path
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.programs import keep_compiled_programs
from uav_jax.provenance import hash_path, hash_values
from uav_jax.video.probe import probe
from uav_jax.video.read import read_frames
from uav_jax.weights.model_files import DEFAULT_DIRECTORY

FAST = ["-s", "1", "-n", "20", "-g", "1"]
NAME = "clip_n20_g1_s1.mp4"


@pytest.fixture
def clip(tmp_path):
    return make_video(tmp_path / "clip.mp4", smooth_frames(3, 16, 24), range(3), audio=True)


def infer(*arguments) -> int:
    return main([*map(str, arguments), *FAST])


def test_a_video_comes_back_four_times_as_large_with_its_audio(clip, tmp_path):
    assert infer("-i", clip, "-o", tmp_path / "out", "--compare") == 0
    stem = NAME.removesuffix(".mp4")
    names = [NAME, f"{NAME}.json", f"{stem}_compare.html", f"{stem}_compare.mp4"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    before, after = probe(clip), probe(tmp_path / "out" / NAME)
    assert (after.frames, after.height, after.width) == (3, 64, 96)
    assert (after.rate, after.time_base) == (before.rate, before.time_base)
    assert after.pts == before.pts
    assert audio_packets(tmp_path / "out" / NAME) == audio_packets(clip)
    low, high = read_frames(clip), read_frames(tmp_path / "out" / NAME)
    small = high.reshape(3, 16, 4, 24, 4, 3).mean((2, 4))
    likeness = np.corrcoef(small.ravel(), low.ravel())[0, 1]
    assert likeness > 0.8, "the result does not show the input"


def test_the_same_seed_gives_the_same_bits_and_another_does_not(clip, tmp_path):
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert infer("-i", clip, "-o", tmp_path / f"{name}.mp4", "--seed", seed) == 0
        files.append((tmp_path / f"{name}.mp4").read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_a_result_says_how_it_was_made(clip, tmp_path):
    target = tmp_path / "a.mp4"
    assert infer("-i", clip, "-o", target, "--seed", 3, "--prompt", 'a "cat" in Köln') == 0
    record = json.loads(record_path(target).read_text())
    with av.open(str(target)) as container:
        inside = json.loads(container.metadata["comment"])
    assert inside == {k: v for k, v in record.items() if k != "outputs"}
    assert record["outputs"] == ["a.mp4"]
    assert record["settings"]["seed"] == 3 and record["settings"]["prompt"] == 'a "cat" in Köln'
    assert record["input_sha256"] == hash_path(clip) and record["input"] == "clip.mp4"
    assert record["weights_sha256"] == hash_path(DEFAULT_DIRECTORY)
    assert record["settings_sha256"] == hash_values(record["settings"])
    assert record["versions"]["jax"] == jax.__version__ and "cpu" in record["device"]


def test_a_log_file_shows_progress(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "LINE_SECONDS", 0)
    assert infer("-i", clip, "-o", tmp_path) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "clip.mp4: denoising 0/3" in lines and "clip.mp4: decoding 3/3" in lines


def test_bfloat16_shows_the_same_picture(clip, tmp_path):
    frames = []
    for dtype in ("float32", "bfloat16"):
        assert infer("-i", clip, "-o", tmp_path / f"{dtype}.mkv", "--dtype", dtype) == 0
        frames.append(read_frames(tmp_path / f"{dtype}.mkv").astype(int))
    difference = np.abs(frames[0] - frames[1])
    assert 0 < difference.mean() < 4


def test_a_folder_of_videos_gives_one_result_each(clip, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(clip, tmp_path / "in" / name)
    assert infer("-i", tmp_path / "in", "-o", tmp_path / "out", "--save_suffix", "x") == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    results = [f"{clip}_n20_g1_s1_x{kind}" for clip in "ab" for kind in (".mp4", ".mp4.json")]
    assert names == [*results, "summary.json"]


@pytest.mark.parametrize("height, width", [(1, 1), pytest.param(9, 13, marks=pytest.mark.slow)])
def test_a_folder_of_one_odd_frame_works_and_saves_pngs(tmp_path, height, width):
    (tmp_path / "shot").mkdir()
    Image.new("RGB", (width, height), (200, 100, 50)).save(tmp_path / "shot" / "1.png")
    assert infer("-i", tmp_path / "shot", "-o", tmp_path / "out", "--save_image") == 0
    with Image.open(tmp_path / "out" / "shot_n20_g1_s1" / "0001.png") as image:
        assert image.size == (4 * width, 4 * height)
    result = read_frames(tmp_path / "out" / "shot_n20_g1_s1.mp4")
    assert result.shape == (1, 4 * height, 4 * width, 3)


def test_a_sidecar_text_is_the_prompt_unless_one_is_given(clip, tmp_path):
    out = [tmp_path / f"{i}.mkv" for i in range(3)]
    assert infer("-i", clip, "-o", out[0], "--prompt", "sharp, drawing") == 0
    clip.with_suffix(".txt").write_text("sharp, drawing\n")
    assert infer("-i", clip, "-o", out[1]) == 0
    assert infer("-i", clip, "-o", out[2], "--prompt", "") == 0
    first, sidecar, empty = (read_frames(path) for path in out)
    assert np.array_equal(first, sidecar)
    assert not np.array_equal(first, empty)


def broken_inputs(folder, clip):
    """name -> (arguments, what the message has to contain)."""
    (folder / "empty").mkdir()
    (folder / "text.mp4").write_text("no video")
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:1500])
    (folder / "sizes").mkdir()
    for size in (8, 9):
        Image.new("RGB", (size, 8)).save(folder / "sizes" / f"{size}.png")
    (folder / "file").write_text("")
    with av.open(str(folder / "silent.mp4"), "w") as out:
        sound = out.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        frame.sample_rate = 44100
        out.mux(sound.encode(frame))
        out.mux(sound.encode())
    model = folder / "model"
    shutil.copytree(DEFAULT_DIRECTORY, model)
    (model / "unet" / "unet_video.safetensors").write_bytes(b"\x01" * 64)
    return {
        "missing": (["-i", folder / "absent.mp4"], "absent.mp4 does not exist"),
        "no input": ([], "give -i PATH"),
        "unreadable": (["-i", folder / "text.mp4"], "cannot be read as a video"),
        "truncated": (["-i", folder / "cut.mp4"], "cut.mp4"),
        "zero frames": (["-i", folder / "silent.mp4"], "no video stream"),
        "empty folder": (["-i", folder / "empty"], "holds no video, no image"),
        "sizes": (["-i", folder / "sizes"], "9.png is 9x8, but 8.png is 8x8"),
        "noise": (["-i", clip, "-n", "61"], "61 is outside 0..60"),
        "steps": (["-i", clip, "-s", "0"], "0 is outside 1..1000"),
        "many steps": (["-i", clip, "-s", "1001"], "1001 is outside 1..1000"),
        "propagation": (["-i", clip, "-s", "3", "-p", "3"], "3 is outside 0..2"),
        "no numbers": (["-i", clip, "-p", "a"], "propagation steps 'a'"),
        "model": (["-i", clip, "--model", "sdxl"], "unknown model 'sdxl'"),
        "damaged model": (["-i", clip, "--model", model], "no readable safetensors"),
        "output is a file": (["-i", clip, "-o", folder / "file"], "is a file"),
        "output in a file": (["-i", clip, "-o", folder / "file" / "x"], "cannot create folder"),
        "colour": (["-i", clip, "--color_fix", "sepia"], "sepia"),
        **more_broken_inputs(folder, clip),
    }


def more_broken_inputs(folder, clip):
    """Those about the result and about how the work is cut."""
    make_video(folder / "hdr.mkv", smooth_frames(1, 16, 24), range(1), transfer=16)
    (folder / "taken").mkdir()
    (folder / "taken" / "x.mp4").write_text("precious")
    (folder / "images").mkdir()
    (folder / "images" / "1.png").write_text("no image")
    without_flow = shutil.ignore_patterns("propagator")
    shutil.copytree(DEFAULT_DIRECTORY, folder / "still", ignore=without_flow)
    (folder / "two").mkdir()
    for name in "ab":
        shutil.copy(clip, folder / "two" / f"{name}.mp4")
    return {
        "negative noise": (["-i", clip, "-n", "-1"], "noise level -1 is negative"),
        "guidance": (["-i", clip, "-g", "101"], "guidance scale 101.0 is outside 0..100"),
        "no flow": (["-i", clip, "-p", "0", "--model", folder / "still"], "no flow network"),
        "tile": (["-i", clip, "--tile_size", "3"], "tile size 3 is too small"),
        "overlap": (["-i", clip, "--decode_overlap", "2"], "decode overlap 2; expected 0 or 1"),
        "codec": (["-i", clip, "--codec", "vp8"], "codec 'vp8'; expected png, h264"),
        "crf": (["-i", clip, "--crf", "60"], "crf 60 is outside 0..51"),
        "no crf": (["-i", clip, "--codec", "ffv1", "--crf", "3"], "ffv1 has no rate factor"),
        "container": (
            ["-i", clip, "--codec", "ffv1", "-o", folder / "x.mp4"],
            "codec ffv1 goes into .mkv, not .mp4",
        ),
        "png file": (
            ["-i", clip, "--codec", "png", "-o", folder / "x.mp4"],
            "codec png writes a folder",
        ),
        "scale": (["-i", clip, "--scale", "5"], "scale 5; expected 2, 3 or 4"),
        "height": (["-i", clip, "--height", "1080"], "more than 4 times the input's (64)"),
        "no height": (["-i", clip, "--height", "0"], "height 0 is not positive"),
        "scenes": (["-i", clip, "--scenes", "often"], "scenes 'often'; expected auto, off"),
        "cuts": (["-i", clip, "--scenes", "2,9"], "do not rise between 1 and 2"),
        "hdr": (["-i", folder / "hdr.mkv"], "high dynamic range (PQ)"),
        "taken": (["-i", clip, "-o", folder / "taken" / "x.mp4"], "give --overwrite"),
        "image": (["-i", folder / "images"], "1.png cannot be read as an image"),
        "compare": (["-i", folder / "two", "--compare"], "--compare is for one video"),
        "one file": (["-i", folder / "two", "-o", folder / "y.mp4"], "2 videos cannot go into one"),
        **broken_paths(folder, clip),
    }


def broken_paths(folder, clip):
    """Those about what is read, which part of it, and where results go."""
    os.mkfifo(folder / "pipe.mp4")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    (folder / "zero.mp4").touch()
    (folder / "huge.gif").write_bytes(gif(10_000, 10_000))
    (folder / "mixed").mkdir()
    shutil.copy(clip, folder / "mixed" / "a.mp4")
    Image.new("RGB", (8, 8)).save(folder / "mixed" / "b.png")
    (folder / "record").mkdir()
    (folder / "record" / "r.mp4.json").write_text("{}")
    (folder / "sum").mkdir()
    (folder / "sum" / "summary.json").write_text("[1]")
    make_video(folder / "wide.mp4", smooth_frames(1, 16, 4104), range(1))
    image, sums = folder / "mixed" / "b.png", folder / "sum"
    return {
        "pipe": (["-i", folder / "pipe.mp4"], "is a FIFO; expected a regular file"),
        "link": (["-i", folder / "gone.mp4"], "is a link to nowhere.mp4, which does not exist"),
        "limit": (["-i", folder / "huge.gif"], "is 10000x10000, 100,000,000 pixels; up to"),
        "zero bytes": (["-i", folder / "zero.mp4"], "is empty (0 bytes)"),
        "standard input": (["-i", "-"], "standard input is not supported"),
        "pattern": (["-i", folder / "*.nut"], "no video or image matches"),
        "mixed": (["-i", folder / "mixed"], "holds 1 videos and 1 images; give --kind"),
        "kind": (["-i", image, "--kind", "videos"], "is an image; leave --kind out"),
        "itself": (["-i", clip, "-o", clip, "--overwrite"], "is the input itself; give another -o"),
        "record": (["-i", clip, "-o", folder / "record" / "r.mp4"], "was not written by this"),
        "summary": (["-i", folder / "two", "-o", sums], "was not written by this program"),
        "unwritable kind": (["-i", clip, "-o", folder / "x.avi"], ".avi files cannot be written"),
        "image as video": (["-i", image, "-o", folder / "x.mp4"], "is an image, and"),
        "video as image": (["-i", clip, "-o", folder / "x.png"], "is a video, and"),
        "demo": (["--demo", "-o", folder / "x.mp4"], "--demo writes several files"),
        "long name": (["-i", clip, "-o", folder / f"{'y' * 250}.mp4"], "has 254 bytes; up to 240"),
        "too wide": (["-i", folder / "wide.mp4"], "16416x64 is not possible with codec h264"),
        "position": (["-i", clip, "--from", "soon"], "position 'soon'; expected seconds"),
        "empty part": (["-i", clip, "--from", "2", "--to", "1"], "the part from 2 to 1 is empty"),
        "no part": (["-i", clip, "--from", "9"], "no frame from 9 to the end"),
        "rate": (["-i", clip, "--fps", "fast"], "fps 'fast'; expected a number"),
        "pre scale": (["-i", clip, "--pre_scale", "2"], "pre_scale 2 is outside 0..1"),
        "both sizes": (["-i", clip, "--scale", "2", "--height", "9"], "give one of them"),
        "crf sign": (["-i", clip, "--crf", "-1"], "crf -1 is negative; 0 is the best"),
        "suffix": (["-i", clip, "--save_suffix", "x/y"], "expected a word without slashes"),
        "image codec": (["-i", image, "--codec", "av1"], "codec av1 is for videos, and"),
        "preset": (["-i", clip, "--codec", "h264", "--preset", "quick"], "preset 'quick' of codec"),
        "alpha": (["-i", clip, "--codec", "h264", "--alpha", "keep"], "cannot hold alpha"),
        "log": (["-i", clip, "--log", clip], "has the name of a video or image"),
    }


def test_the_documentation_lists_what_every_mistake_is_told(clip, tmp_path):
    listed = (Path(__file__).parents[2] / "docs" / "messages.md").read_text()
    rows = [line for line in listed.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 25
    known = broken_inputs(tmp_path, clip)
    documented = {row.split("|")[1].strip() for row in rows}
    assert documented == set(known)


def test_bad_input_gets_one_line_status_2_and_no_output(clip, tmp_path, capfd, monkeypatch):
    stub, real = stub_upscaler(), Upscaler.from_pretrained
    monkeypatch.setattr(
        "uav_jax.cli.run.Upscaler.from_pretrained",
        lambda name, **options: stub if name == "default" else real(name, **options),
    )
    for name, (arguments, message) in broken_inputs(tmp_path, clip).items():
        before = set(tmp_path.rglob("*"))
        given = list(map(str, arguments))
        output = [] if "-o" in given else ["-o", str(tmp_path / "out")]
        assert main([*given, *output]) == 2, name
        said = capfd.readouterr().err.strip().splitlines()
        assert message in said[-1] and len(said) == 1, (name, said)
        assert not any("Traceback" in line for line in said), name
        assert set(tmp_path.rglob("*")) == before, name


def test_an_unwritable_folder_is_refused(clip, tmp_path, monkeypatch, capfd):
    # root may write everywhere
    monkeypatch.setattr("uav_jax.jobs.outputs.os.access", lambda *_: False)
    assert infer("-i", clip, "-o", tmp_path / "out") == 2
    assert "is not writable" in capfd.readouterr().err


def test_programs_are_kept_for_later_runs_unless_jax_was_told_where(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name = "jax_compilation_cache_dir"
    given = getattr(jax.config, name)
    keep_compiled_programs()
    assert getattr(jax.config, name) == given
    jax.config.update(name, None)
    try:
        keep_compiled_programs()
        assert getattr(jax.config, name) == str(tmp_path / "uav_jax" / "xla")
    finally:
        jax.config.update(name, given)
