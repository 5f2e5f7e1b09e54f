"""Every row of the table of awkward inputs, as its user meets it at the command line."""

import json
import os
import resource
import shutil
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tests.clips import make_video
from uav_jax.jobs import options
from uav_jax.jobs import prepare as preparing
from uav_jax.video.probe import probe
from uav_jax.video.read import read_frames
from uav_jax.video.source import ReadOptions

NAME = "_n0_g1_s1"


def tree(folder):
    """Every file below a folder with its bytes."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def hidden(folder):
    return [p for p in folder.rglob(".*") if p.name != ".uav_jax"]


@pytest.fixture
def shot(cases, tmp_path):
    return shutil.copytree(cases / "shot", tmp_path / "shot")


def test_input_frames_are_never_replaced_by_saved_ones(infer, shot, tmp_path):
    before = tree(tmp_path)
    said = infer("-i", shot, "-o", tmp_path / "shot.mp4", "--save_image")
    assert said.status == 2 and "shot is the input itself; give another -o" in said.last
    assert tree(tmp_path) == before
    assert infer("-i", shot, "-o", tmp_path / "other.mp4", "--save_image").status == 0
    assert len(list((tmp_path / "other").glob("*.png"))) == 3
    assert tree(shot) == {n.split("/")[1]: v for n, v in before.items()}


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "case"])
def test_a_source_is_never_its_own_result(infer, cases, tmp_path, way):
    source = shutil.copy(cases / "plain.mp4", tmp_path / "plain.mp4")
    target = {"itself": source, "case": tmp_path / "PLAIN.mp4"}.get(way, tmp_path / "other.mp4")
    if way == "link":
        target.symlink_to(source)
    if way == "hard link":
        target.hardlink_to(source)
    before = tree(tmp_path)
    said = infer("-i", source, "-o", target, "--overwrite")
    assert said.status == 2 and "is the input itself; give another -o" in said.last
    assert tree(tmp_path) == before


def test_results_beside_their_sources_are_never_sources(infer, cases, shot, tmp_path):
    (tmp_path / "d").mkdir()
    shutil.copy(cases / "plain.mp4", tmp_path / "d")
    assert infer("-i", tmp_path / "d", "-o", tmp_path / "d").status == 0
    before = tree(tmp_path / "d")
    said = infer("-i", tmp_path / "d", "-o", tmp_path / "d")
    assert said.status == 0 and f"already there: {tmp_path}/d/plain{NAME}.mp4" in said
    assert set(tree(tmp_path / "d")) == set(before) and len(before) == 4
    for _ in range(2):
        said = infer("-i", shot, "-o", shot / "out")
        assert said.status == 0
    assert "already there" in said and len(tree(shot / "out")) == 2


def test_subtitles_that_need_it_are_converted_and_that_is_said(infer, cases, tmp_path):
    said = infer("-i", cases / "sub_srt.mkv", "-o", tmp_path / "y.mp4")
    assert said.status == 0 and "stream 1 (subtitle, subrip) is converted to mov_text" in said
    assert infer("-i", cases / "sub_text.mp4", "-o", tmp_path, "--codec", "ffv1").status == 0
    result = probe(tmp_path / f"sub_text{NAME}_ffv1.mkv")
    assert result.subtitle_codecs == ("subrip",)


@pytest.mark.parametrize(
    ("name", "frames", "suffix"),
    [
        ("sub_long.mkv", 10, ".mkv"),
        ("offset.mkv", 10, ".mp4"),
        ("edit.mp4", 13, ".mp4"),
        ("null_frames.avi", 20, ".mp4"),
        ("joined.ts", 20, ".mkv"),
        ("interlaced.mpg", 20, ".mp4"),
        ("flags.mkv", 10, ".mkv"),
        ("mp3.mp4", 10, ".mp4"),
        ("ten_bit.mkv", 10, ".mp4"),
        ("bt2020.mkv", 10, ".mp4"),
        ("sar.mp4", 10, ".mp4"),
        ("Re:Zero.mp4", 10, ".mp4"),
        ("T [dq].mp4", 10, ".mp4"),
        ("caf\udce9.mp4", 10, ".mp4"),
    ],
)
def test_files_that_play_are_upscaled_with_their_times(
    infer, cases, tmp_path, name, frames, suffix
):
    said = infer("-i", cases / name, "-o", tmp_path / "out")
    assert said.status == 0, said.lines
    before = probe(cases / name)
    after = probe(tmp_path / "out" / f"{name.rpartition('.')[0]}{NAME}{suffix}")
    assert after.frames == frames and after.width == 4 * before.width
    times = [[float(p * i.time_base) for p in i.pts] for i in (before, after)]
    assert times[1] == pytest.approx(times[0], abs=1e-3)
    assert after.audio_codecs == before.audio_codecs
    assert hidden(tmp_path) == []


def test_names_are_printed_whole(infer, cases, tmp_path):
    assert f"T [dq]{NAME}.mp4" in infer("-i", cases / "T [dq].mp4", "-o", tmp_path)
    assert rf"caf\xe9{NAME}.mp4" in infer("-i", cases / "caf\udce9.mp4", "-o", tmp_path)
    assert infer("-i", cases / "plain.mp4", "-o", tmp_path / "Re:Zero.mp4").status == 0
    assert probe(tmp_path / "Re:Zero.mp4").frames == 10


def test_one_bad_name_or_file_never_ends_a_folder(infer, cases, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "caf\udce9.mp4", "b [red].mp4"):
        shutil.copy(cases / "plain.mp4", folder / name)
    (folder / "broken.mp4").write_text("no video")
    real = preparing.probe

    def strange(path, *arguments):
        if path.name == "a.mp4":
            raise RuntimeError("something\nstrange")
        return real(path, *arguments)

    monkeypatch.setattr(preparing, "probe", strange)
    said = infer("-i", folder, "-o", tmp_path / "out")
    assert said.status == 1
    rows = {
        r["source"].rpartition("/")[2]: r
        for r in json.loads((tmp_path / "out" / "summary.json").read_text())
    }
    assert [r["state"] for _, r in sorted(rows.items())] == ["failed", "done", "failed", "done"]
    assert rows["a.mp4"]["message"] == "RuntimeError: something"
    assert rows[r"caf\xe9.mp4"]["state"] == "done"


def test_high_dynamic_range_is_refused_or_kept(infer, cases, tmp_path):
    said = infer("-i", cases / "hdr10.mkv", "-o", tmp_path)
    assert said.status == 2 and "--hdr tonemap" in said.last and list(tmp_path.iterdir()) == []
    assert infer("-i", cases / "hdr10.mkv", "-o", tmp_path, "--hdr", "keep").status == 0
    after = probe(tmp_path / f"hdr10{NAME}.mp4", ReadOptions(hdr="keep"))
    assert after.colors.transfer == 16 and after.colors.light_level == (1000, 400)


def test_alpha_is_over_black_unless_the_codec_keeps_it(infer, cases, tmp_path):
    said = infer("-i", cases / "alpha.mov", "-o", tmp_path)
    assert said.status == 0 and "transparent areas are shown over black" in said
    for codec, name in (("prores", f"alpha{NAME}_prores.mov"), ("ffv1", f"alpha{NAME}_ffv1.mkv")):
        assert infer("-i", cases / "alpha.mov", "-o", tmp_path, "--codec", codec).status == 0
        frame = next(probe(tmp_path / name).stream(keep_alpha=True)) / 65535
        assert np.abs(frame[96, 128, [0, 3]] - (1.0, 0.5)).max() < 0.05
    assert infer("-i", cases / "alpha.mov", "-o", tmp_path, "--codec", "png").status == 0
    with Image.open(tmp_path / f"alpha{NAME}" / "0001.png") as image:
        assert image.mode == "RGBA" and abs(image.getpixel((128, 96))[3] - 128) < 3
    said = infer("-i", cases / "alpha.mov", "-o", tmp_path / "k", "--alpha", "keep")
    assert said.status == 2 and "cannot hold alpha; use --codec prores, ffv1, png" in said.last


def test_what_a_codec_cannot_hold_is_said_before_anything_is_computed(infer, cases, tmp_path):
    said = infer("-i", cases / "wide.mp4", "-o", tmp_path)
    assert said.status == 2 and len(said.lines) == 1
    assert "16416x64 is not possible with codec h264" in said.last and "--height" in said.last
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_picture_becomes_a_picture(infer, cases, tmp_path, suffix):
    assert infer("-i", cases / "photo.png", "-o", tmp_path / f"out{suffix}").status == 0
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert image.size == (256, 192)
    assert infer("-i", cases / "photo.png", "-o", tmp_path / "folder").status == 0
    assert (tmp_path / "folder" / f"photo{NAME}.png").is_file()


def test_pictures_come_out_upright_and_in_srgb(infer, cases, tmp_path):
    for name in ("exif.jpg", "cmyk.jpg"):
        assert infer("-i", cases / name, "-o", tmp_path).status == 0
    with Image.open(tmp_path / f"exif{NAME}.png") as image:
        assert image.size == (80, 160) and image.getpixel((70, 10))[0] > 200
    with Image.open(tmp_path / f"cmyk{NAME}.png") as image:
        assert image.mode == "RGB" and image.getpixel((5, 5))[0] > 240


def test_folders_of_pictures_that_are_not_one_video(infer, cases, tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("exif.jpg", "photo.png", "alpha.png"):
        shutil.copy(cases / name, folder)
    said = infer("-i", folder, "-o", tmp_path / "out")
    assert said.status == 2 and "give --kind images" in said.last
    for _ in range(2):  # the second time they are there, and no input
        assert infer("-i", folder, "-o", folder, "--kind", "images").status == 0
    names = sorted(p.name for p in folder.glob(f"*{NAME}.png"))
    assert names == [f"{n}{NAME}.png" for n in ("alpha", "exif", "photo")]
    with Image.open(folder / f"alpha{NAME}.png") as image:
        assert image.mode == "RGBA" and abs(image.getpixel((30, 30))[3] - 128) < 3


def test_mixed_folders_need_a_word(infer, cases, tmp_path):
    said = infer("-i", cases / "mixed", "-o", tmp_path)
    assert said.status == 2 and "holds 1 videos and 1 images; give --kind" in said.last
    assert infer("-i", cases / "mixed", "-o", tmp_path, "--kind", "videos").status == 0
    assert infer("-i", cases / "mixed", "-o", tmp_path, "--kind", "frames").status == 0
    assert {p.name for p in tmp_path.glob("*.mp4")} == {
        f"{n}{NAME}.mp4" for n in ("plain", "mixed")
    }


def test_twins_get_names_of_their_own_and_hidden_files_none(infer, cases, tmp_path):
    assert infer("-i", cases / "twins", "-o", tmp_path).status == 0
    names = {p.name for p in tmp_path.glob("*.mp4")}
    assert names == {f"a_mov{NAME}.mp4", f"a_mp4{NAME}.mp4"}
    assert infer("-i", cases / "dotfiles", "-o", tmp_path / "d").status == 0
    assert [p.name for p in (tmp_path / "d").glob("*.mp4")] == [f"a{NAME}.mp4"]


def test_a_file_that_changes_its_size_is_refused(infer, cases, tmp_path):
    said = infer("-i", cases / "size_change.ts", "-o", tmp_path)
    assert said.status == 2 and "from 96x96 to 64x64 at frame 11" in said.last


def test_a_file_that_broke_off_is_refused_or_used_as_far_as_it_goes(infer, tmp_path):
    frames = np.random.RandomState(0).randint(0, 256, (30, 32, 32, 3), np.uint8)
    data = make_video(tmp_path / "a.mkv", frames, range(30)).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    said = infer("-i", tmp_path / "cut.mkv", "-o", tmp_path / "out")
    assert said.status == 2 and "is truncated" in said.last and "--allow_truncated" in said.last
    said = infer("-i", tmp_path / "cut.mkv", "-o", tmp_path / "out", "--allow_truncated")
    assert said.status == 0 and "frames that can be decoded are used" in said


def test_a_mirrored_picture_is_flipped(infer, cases, tmp_path):
    assert infer("-i", cases / "mirrored.mp4", "-o", tmp_path, "--codec", "ffv1").status == 0
    small = read_frames(cases / "plain.mp4")[0, ::-1]
    large = read_frames(tmp_path / f"mirrored{NAME}_ffv1.mkv")[0]
    assert np.array_equal(large[::4, ::4], small)


def test_webm_and_names_that_cannot_be_written(infer, cases, tmp_path):
    assert infer("-i", cases / "plain.mp4", "-o", tmp_path / "x.webm").status == 0
    assert probe(tmp_path / "x.webm").audio_codecs == ("opus",)
    said = infer("-i", cases / "plain.mp4", "-o", tmp_path / "o.avi")
    assert said.status == 2 and ".avi files cannot be written; use .mp4" in said.last
    said = infer("--demo", "-o", tmp_path / "x.mp4")
    assert said.status == 2 and "--demo writes several files" in said.last


def test_large_inputs_are_reduced_only_when_asked(infer, cases, tmp_path, monkeypatch):
    for module in (options, preparing):
        monkeypatch.setattr(module, "LARGE", 64 * 48)
    widths, notes = [], []
    for name, more in (
        ("as it is", ()),
        ("first", ("--published",)),
        ("half", ("--pre_scale", 0.5)),
    ):
        said = infer("-i", cases / "plain.mp4", "-o", tmp_path / name, "--codec", "ffv1", *more)
        (result,) = (tmp_path / name).glob("*.mkv")
        widths.append(probe(result).width)
        notes.append(next(line for line in said.lines if "input is" in line))
    assert widths == [256, 64, 128]
    assert "as it is" in notes[0] and "to 16x12 first" in notes[1] and "to 32x24" in notes[2]


def test_a_part_of_a_video(infer, cases, tmp_path):
    source = cases / "plain.mp4"
    target = tmp_path / "part.mkv"
    said = infer(
        "-i", source, "-o", target, "--from", "00:00:00.1", "--to", "#8", "--codec", "ffv1"
    )
    assert said.status == 0
    assert np.array_equal(read_frames(target)[:, ::4, ::4], read_frames(source)[3:8])
    said = infer("-i", source, "-o", target, "--from", "5", "--to", "3")
    assert said.status == 2 and "the part from 5 to 3 is empty" in said.last
    said = infer("-i", source, "-o", tmp_path / "n.mp4", "--from", "soon")
    assert said.status == 2 and "position 'soon'; expected seconds" in said.last


def test_odd_paths_are_refused_in_one_line(infer, cases, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere")
    (tmp_path / "empty.mp4").touch()
    shutil.copy(cases / "plain.mp4", tmp_path / "two\nlines.mp4")
    for name, message in (
        ("pipe.mp4", "is a FIFO"),
        ("gone.mp4", "is a link to nowhere, which does not exist"),
        ("empty.mp4", "is empty (0 bytes)"),
    ):
        said = infer("-i", tmp_path / name, "-o", tmp_path / "out")
        assert said.status == 2 and len(said.lines) == 1 and message in said.last
    said = infer("-i", "-", "-o", tmp_path / "out")
    assert said.status == 2 and "standard input is not supported" in said.last
    said = infer("-i", tmp_path / "two\nlines.mp4", "-o", tmp_path / "out")
    assert said.status == 0 and rf"two\nlines{NAME}.mp4" in said.last


def test_a_name_of_255_bytes_has_a_result(infer, cases, tmp_path):
    source = shutil.copy(cases / "plain.mp4", tmp_path / ("ä" * 125 + "x.mp4"))
    for _ in range(2):
        said = infer("-i", source, "-o", tmp_path / "out")
        assert said.status == 0, said.lines
    assert "already there" in said.last and len(list((tmp_path / "out").glob("*.mp4"))) == 1
    said = infer("-i", cases / "plain.mp4", "-o", tmp_path / ("y" * 250 + ".mp4"))
    assert said.status == 2 and "has 254 bytes; up to 240 are possible" in said.last


def test_an_unreadable_folder_is_said(infer, tmp_path, monkeypatch):
    from pathlib import Path

    def refused(self):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(Path, "iterdir", refused)  # root may read everything
    said = infer("-i", tmp_path / "locked", "-o", tmp_path / "out")
    assert said.status == 2 and "cannot be read: Permission denied" in said.last


def test_a_folder_that_goes_away_meanwhile_is_one_line(infer, cases, tmp_path, monkeypatch):
    from uav_jax.jobs import video

    real = video._publish

    def gone(job, journal):
        shutil.rmtree(tmp_path / "out")
        real(job, journal)

    monkeypatch.setattr(video, "_publish", gone)
    said = infer("-i", cases / "plain.mp4", "-o", tmp_path / "out")
    assert said.status == 2 and len(said.lines) == 1 and "infer.py: " in said.last


FULL = """
import resource, sys
sys.path.insert(0, {root!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from tests.stub import stub_upscaler
from uav_jax.cli import run
stub = stub_upscaler()
run.Upscaler.from_pretrained = classmethod(lambda *_, **__: stub)
sys.exit(run.main(sys.argv[1:]))
"""


def test_a_full_disk_is_one_line_and_the_same_command_resumes(infer, cases, tmp_path):
    frames = np.random.RandomState(0).randint(0, 256, (60, 32, 32, 3), np.uint8)
    source = make_video(tmp_path / "noise.mkv", frames, range(60))
    arguments = ["-i", source, "-o", tmp_path / "out", "--codec", "ffv1"]
    arguments = [*map(str, arguments), "-n", "0", "-g", "1", "-s", "1"]
    root = os.fspath(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    code = FULL.format(root=root, limit=200_000)
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if line.startswith("infer.py")]
    assert done.returncode == 2 and len(said) == 1 and "File too large" in said[0], done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")] == []
    again = infer(*arguments[:6])
    assert again.status == 0 and hidden(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_disk_that_is_certainly_too_small_is_said_before(infer, cases, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("uav_jax.jobs.outputs.shutil.disk_usage", lambda _: usage)
    said = infer("-i", cases / "plain.mp4", "-o", tmp_path / "out")
    assert said.status == 2 and "GB left, and the result needs more than" in said.last


def test_several_inputs_patterns_and_folders_in_folders(infer, cases, tmp_path):
    for place in ("in/a", "in/b/c"):
        (tmp_path / place).mkdir(parents=True)
        shutil.copy(cases / "plain.mp4", tmp_path / place / "clip.mp4")
    shutil.copytree(cases / "shot", tmp_path / "in" / "b" / "shot")
    assert infer("-i", tmp_path / "in", "-r", "-o", tmp_path / "out").status == 0
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.mp4")}
    assert found == {f"a/clip{NAME}.mp4", f"b/c/clip{NAME}.mp4", f"b/shot{NAME}.mp4"}
    both = [tmp_path / "in" / "a" / "clip.mp4", tmp_path / "in" / "b" / "c" / "clip.mp4"]
    assert infer("-i", *both, "-o", tmp_path / "two").status == 0
    names = {p.name for p in (tmp_path / "two").glob("*.mp4")}
    assert names == {f"a_clip{NAME}.mp4", f"c_clip{NAME}.mp4"}
    assert infer("-i", tmp_path / "in" / "*" / "*.mp4", "-o", tmp_path / "glob").status == 0
    said = infer("-i", tmp_path / "*.avi", "-o", tmp_path / "glob")
    assert said.status == 2 and "no video or image matches" in said.last


def test_frames_have_the_rate_that_was_asked_for(infer, cases, tmp_path):
    for text, rate in (("24000/1001", Fraction(24000, 1001)), ("12.5", Fraction(25, 2))):
        target = tmp_path / f"{float(rate):.0f}.mp4"
        assert infer("-i", cases / "shot", "-o", target, "--fps", text).status == 0
        assert probe(target).rate == rate
    said = infer("-i", cases / "shot", "-o", tmp_path / "x.mp4", "--fps", "fast")
    assert said.status == 2 and "fps 'fast'; expected a number" in said.last


def test_a_sidecar_prompt_is_announced_in_any_encoding(infer, cases, tmp_path):
    source = shutil.copy(cases / "plain.mp4", tmp_path / "clip.mp4")
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        (tmp_path / "clip.txt").write_bytes("eine Straße\n".encode(encoding))
        said = infer("-i", source, "-o", tmp_path / encoding)
        assert said.status == 0 and "prompt of clip.txt: eine Straße" in said
        record = json.loads((tmp_path / encoding / f"clip{NAME}.mp4.json").read_text())
        assert record["settings"]["prompt"] == "eine Straße"


def test_what_is_printed_can_be_logged_or_silenced(infer, cases, tmp_path):
    log = tmp_path / "run.log"
    said = infer("-i", cases / "plain.mp4", "-o", tmp_path, "--quiet", "--log", log)
    assert said.status == 0 and said.lines == []
    line = log.read_text().splitlines()[-1]
    assert f"plain{NAME}.mp4 (10 frames in" in line and line[:2] == "20"
    said = infer("-i", cases / "plain.mp4", "-o", tmp_path, "--log", cases / "plain.mp4")
    assert said.status == 2 and "has the name of a video" in said.last


def test_a_log_is_never_written_into_an_input(infer, cases, tmp_path):
    source = shutil.copy(cases / "plain.mp4", tmp_path / "in.bin")
    (tmp_path / "run.log").symlink_to(source)
    before = source.read_bytes()
    for log in ("in.bin", "run.log"):
        said = infer("-i", source, "-o", tmp_path / "x.mp4", "--log", tmp_path / log)
        assert said.status == 2 and "is the input itself" in said.last
    assert source.read_bytes() == before


def test_results_of_a_killed_run_and_comparisons_are_no_inputs(infer, cases, tmp_path, monkeypatch):
    from uav_jax.jobs.journal import Journal

    shutil.copy(cases / "plain.mp4", tmp_path / "a.mp4")
    real, calls = Journal.publish_record, []

    def publish(self, path, record):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(self, path, record)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "publish_record", publish)
        assert infer("-i", tmp_path, "-o", tmp_path).status == 130
    assert infer("-i", tmp_path, "-o", tmp_path).status == 0
    assert infer("-i", tmp_path / "a.mp4", "-o", tmp_path, "--compare").status == 0
    said = infer("-i", tmp_path, "-o", tmp_path)
    assert said.status == 0 and len(list(tmp_path.glob("*.mp4"))) == 3


def test_sound_that_no_container_holds_as_it_is_is_converted(infer, cases, tmp_path):
    source = tmp_path / "a.wmv"
    command = ["ffmpeg", "-v", "error", "-i", cases / "plain.mp4", "-c:v", "wmv2", "-c:a", "wmav2"]
    subprocess.run([*command, source], check=True)
    for target in ("x.mkv", "x.mp4"):
        said = infer("-i", source, "-o", tmp_path / target)
        assert said.status == 0 and "(audio, wmav2) is converted to aac" in said
        assert probe(tmp_path / target).audio_codecs == ("aac",)


def test_sound_that_a_container_s_writer_refuses_is_converted(infer, cases, tmp_path):
    source = tmp_path / "a.mkv"
    command = ["ffmpeg", "-v", "error", "-i", cases / "plain.mp4", "-c:v", "copy", "-c:a", "flac"]
    subprocess.run([*command, source], check=True)
    said = infer("-i", source, "-o", tmp_path / "x.mov")
    assert said.status == 0 and "(audio, flac) is converted to aac" in said
    assert infer("-i", source, "-o", tmp_path / "x.mp4").status == 0
    assert probe(tmp_path / "x.mp4").audio_codecs == ("flac",)


@pytest.mark.parametrize("suffix", ["x/../../evil", "///", ".hidden", "a\\b"])
def test_a_suffix_leads_to_no_other_folder(infer, cases, tmp_path, suffix):
    said = infer("-i", cases / "plain.mp4", "-o", tmp_path / "o", "--save_suffix", suffix)
    assert said.status == 2 and "expected a word without slashes" in said.last


def test_rates_that_cannot_be_are_refused(infer, cases, tmp_path):
    for rate in ("1e-30", "0.0000001", "1e9"):
        said = infer("-i", cases / "shot", "-o", tmp_path / "x.mp4", "--fps", rate)
        assert said.status == 2 and "is outside 0.01..1000" in said.last
    said = infer("-i", cases / "shot", "-o", tmp_path / "x.mp4", "--fps", 300, "--codec", "av1")
    assert said.status == 2 and "at 300 frames a second" in said.last


def test_files_of_the_user_s_under_temporary_names_stay(infer, cases, tmp_path):
    (tmp_path / ".x.mp4.json.partial").write_text("mine")
    assert infer("-i", cases / "plain.mp4", "-o", tmp_path / "x.mp4").status == 0
    assert (tmp_path / ".x.mp4.json.partial").read_text() == "mine"
    (tmp_path / ".y.mp4.uav").mkdir()
    said = infer("-i", cases / "plain.mp4", "-o", tmp_path / "y.mp4")
    assert said.status == 2 and (tmp_path / ".y.mp4.uav").is_dir()
    for text in ("[]", '{"a": 1}', "nonsense"):
        (tmp_path / ".z.mp4.claim.1").write_text(text)
        assert infer("-i", cases / "plain.mp4", "-o", tmp_path / "z.mp4").status == 0
        assert (tmp_path / ".z.mp4.claim.1").read_text() == text


def test_an_empty_summary_of_the_user_s_stays(infer, cases, tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    said = infer("-i", cases / "twins", "-o", tmp_path)
    assert said.status == 2 and "summary.json exists and was not written" in said.last


def test_animations_say_that_only_their_first_picture_is_used(infer, tmp_path):
    pictures = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (10, 200)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], lossless=True)
    said = infer("-i", tmp_path / "a.webp", "-o", tmp_path / "out")
    assert said.status == 0 and "holds 2 pictures; the first is used" in said
