"""What is known of awkward files once they were read through: a row each of the table."""

import io
import os
import subprocess
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from tests.clips import make_video, smooth_frames
from uav_jax.video.clock import Clock
from uav_jax.video.containers import check_regular_file, open_input, shown
from uav_jax.video.position import Part, Position
from uav_jax.video.probe import probe, rising_times
from uav_jax.video.source import ReadOptions
from uav_jax.video.truncation import declared_size


def seconds(info):
    return [float(p * info.time_base) for p in info.pts]


@pytest.mark.parametrize(
    ("name", "frames", "first", "last"),
    [
        ("plain.mp4", 10, 0.0, 0.36),
        ("sub_long.mkv", 10, 0.0, 0.36),
        ("offset.mkv", 10, 5.0, 5.36),
        ("edit.mp4", 13, 0.0, 0.48),
        ("null_frames.avi", 20, 0.0, 0.96),
        ("interlaced.mpg", 20, 0.54, 1.30),
    ],
)
def test_frames_and_times_are_those_a_player_shows(cases, name, frames, first, last):
    info = probe(cases / name)
    assert info.frames == frames == len(list(info.stream()))
    assert (seconds(info)[0], seconds(info)[-1]) == pytest.approx((first, last), abs=1e-3)


def test_the_missing_frames_of_an_avi_leave_a_pause(cases):
    steps = np.diff(seconds(probe(cases / "null_frames.avi")))
    assert np.round(steps * 25).tolist() == [1] * 9 + [6] + [1] * 9


def test_joined_recordings_are_one_timeline_with_sound_in_sync(cases):
    info = probe(cases / "joined.ts")
    times = seconds(info)
    assert info.frames == 20 and all(a < b for a, b in pairwise(times))
    assert times[10] - times[9] == pytest.approx(0.04, abs=0.03)
    assert len(info.offsets) == 2 and "2 recordings" in info.notes[0]


def test_timestamps_that_fall_elsewhere_are_no_new_recording():
    clock = Clock("matroska,webm")
    assert clock.recording(0, Fraction(5), Fraction(6)) == 0
    assert clock.recording(0, Fraction(1), Fraction(2)) == 0
    assert clock.offsets(0) == (0,)


@pytest.mark.parametrize(
    ("pts", "expected"),
    [
        ([0, 4, 8], [0, 4, 8]),
        ([None, 4, 8], [0, 1, 2]),
        ([9, 5, 1], [0, 1, 2]),
        ([*range(0, 60, 2), 58, 60], [*range(0, 60, 2), 59, 60]),
    ],
)
def test_timestamps_rise_and_are_kept_where_they_can_be(pts, expected):
    rising, base = rising_times(pts, Fraction(1, 90), Fraction(25))
    assert rising == expected
    assert base == (Fraction(1, 90) if None not in pts and pts[0] < pts[-1] else Fraction(1, 25))


def test_the_shape_of_pixels_and_the_colours_are_known(cases):
    assert probe(cases / "sar.mp4").sample_aspect_ratio == Fraction(32, 27)
    colors = probe(cases / "bt2020.mkv").colors
    assert (colors.primaries, colors.transfer, colors.matrix) == (9, 1, 9)
    plain = probe(cases / "plain.mp4").colors
    assert (plain.primaries, plain.transfer, plain.matrix) == (1, 1, 1)


def test_deep_sources_are_read_as_16_bits(cases):
    info = probe(cases / "ten_bit.mkv")
    (first, *_) = info.stream()
    assert info.bits == 10 and first.dtype == np.uint16
    assert len(np.unique(first)) > 256 and first.max() > 60000


def test_alpha_is_over_black_or_kept(cases):
    info = probe(cases / "alpha.mov")
    opaque, kept = next(info.stream()), next(info.stream(keep_alpha=True))
    assert info.alpha and opaque.shape == (48, 64, 3) and kept.shape == (48, 64, 4)
    alpha, red = kept[24, 32, 3] / 65535, kept[24, 32, 0] / 65535
    assert alpha == pytest.approx(0.5, abs=0.01) and red > 0.9
    assert opaque[24, 32, 0] / 65535 == pytest.approx(red * alpha, abs=0.01)
    assert probe(cases / "alpha.png").alpha and not probe(cases / "photo.png").alpha


def comb(frame):
    """How much neighbouring lines differ, against lines of the same field."""
    rows = frame.astype(float)
    return np.abs(np.diff(rows, axis=0)).mean() / np.abs(rows[2:] - rows[:-2]).mean()


def test_interlaced_video_is_deinterlaced_unless_that_is_off(cases):
    smooth, combed = (
        probe(cases / "interlaced.mpg", ReadOptions(deinterlace=how)) for how in ("auto", "off")
    )
    before = np.mean([comb(f) for f in combed.stream()])
    after = np.mean([comb(f) for f in smooth.stream()])
    assert after < 0.8 * before
    assert "bwdif" in smooth.notes[0] and combed.notes == ("interlaced, and left as it is",)
    assert smooth.pts == combed.pts


def test_a_mirroring_display_matrix_is_applied(cases):
    plain, mirrored = (next(probe(cases / f"{n}.mp4").stream()) for n in ("plain", "mirrored"))
    assert np.array_equal(mirrored, plain[::-1])


def test_high_dynamic_range_is_refused_kept_or_converted(cases):
    with pytest.raises(ValueError, match=r"high dynamic range \(PQ\)"):
        probe(cases / "hdr10.mkv")
    kept = probe(cases / "hdr10.mkv", ReadOptions(hdr="keep"))
    assert kept.colors.transfer == 16 and kept.colors.light_level == (1000, 400)
    assert kept.colors.mastering[-2:] == (0.005, 1000.0)
    converted = probe(cases / "hdr10.mkv", ReadOptions(hdr="tonemap"))
    assert (converted.colors.primaries, converted.colors.transfer) == (1, 1)
    before, after = (next(i.stream()).astype(float) for i in (kept, converted))
    assert np.abs(after - before).mean() > 0.05 * 65535  # PQ values are no BT.709 values


def test_a_change_of_size_is_refused_with_its_frame(cases):
    with pytest.raises(ValueError, match=r"from 96x96 to 64x64 at frame 11"):
        probe(cases / "size_change.ts")


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        ("0.1", "0.24", range(3, 6)),
        ("#3", "#6", range(3, 6)),
        ("00:00:00.12", None, range(3, 10)),
        (None, "0.12", range(3)),
    ],
)
def test_a_part_has_the_frames_from_start_and_before_stop(cases, start, stop, expected):
    whole = list(probe(cases / "plain.mp4").stream())
    part = Part(*(text and Position.parse(text) for text in (start, stop)))
    info = probe(cases / "plain.mp4", ReadOptions(part=part))
    found = list(info.stream())
    assert len(found) == len(expected)
    assert all(np.array_equal(a, whole[n]) for a, n in zip(found, expected, strict=True))


def test_a_part_far_into_a_file_is_found_by_seeking_and_exact(tmp_path):
    source = make_video(tmp_path / "long.mp4", smooth_frames(400, 16, 16), range(400))
    part = Part(Position.parse("12.5"), Position.parse("12.7"))
    info = probe(source, ReadOptions(part=part))
    whole = list(probe(source).stream())
    assert info.seek_to is not None and seconds(info)[0] == 12.52
    assert [p.sum() for p in info.stream()] == [p.sum() for p in whole[313:318]]


@pytest.mark.parametrize(
    ("text", "message"),
    [("soon", "position 'soon'; expected seconds"), ("#-1", "expected seconds"), ("1:2:3:4", "e")],
)
def test_positions_that_are_none_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Position.parse(text)


def test_empty_parts_are_refused(cases):
    with pytest.raises(ValueError, match="the part from 2 to 1 is empty"):
        Part(Position.parse("2"), Position.parse("1"))
    part = Part(Position.parse("9"))
    with pytest.raises(ValueError, match=r"no frame from 9 to the end; it has 10 frames"):
        probe(cases / "plain.mp4", ReadOptions(part=part))


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "avi"])
def test_truncated_files_are_refused_or_used_as_far_as_they_go(tmp_path, container):
    frames = np.random.RandomState(0).randint(0, 256, (75, 64, 64, 3), np.uint8)
    whole = make_video(tmp_path / f"whole.{container}", frames, range(75))
    data = whole.read_bytes()
    assert declared_size(whole) == len(data)
    path = tmp_path / f"cut.{container}"
    for part in (0, 50, len(data) // 3, 2 * len(data) // 3):
        path.write_bytes(data[:part])
        with pytest.raises(ValueError, match=r"cut\."):
            probe(path)
    if container in ("mkv", "avi"):  # whose index is not at the end
        info = probe(path, ReadOptions(allow_truncated=True))
        assert 20 < info.frames < 75 and "bytes are there" in info.notes[0]
        assert len(list(info.stream())) == info.frames


def test_what_is_no_regular_file_is_refused_in_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "empty.mp4").touch()
    for name, message in (
        ("pipe.mp4", "is a FIFO; expected a regular file"),
        ("gone.mp4", r"is a link to nowhere\.mp4, which does not exist"),
        ("empty.mp4", r"is empty \(0 bytes\)"),
        ("absent.mp4", "does not exist"),
        (".", "is a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            check_regular_file(tmp_path / name)


def test_texts_that_name_other_files_are_no_videos(cases, tmp_path):
    for name, text in (
        ("concat.mp4", f"ffconcat version 1.0\nfile '{cases / 'plain.mp4'}'\n"),
        ("list.mp4", f"#EXTM3U\n#EXTINF:1,\n{cases / 'plain.mp4'}\n#EXT-X-ENDLIST\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match="cannot be read as a video"):
            open_input(tmp_path / name)


def test_names_are_printed_whole_and_on_one_line():
    assert shown("caf\udce9.mp4") == r"caf\xe9.mp4"
    assert shown("a\nb\x1b[1m.mp4") == r"a\nb\x1b[1m.mp4"
    assert shown("Köln [dq].mp4") == "Köln [dq].mp4"
    io.StringIO().write(shown("\udcff"))


def test_parts_of_joined_files_are_counted_on_their_timeline(cases):
    whole = probe(cases / "joined.ts")
    for start, stop, first, last in (("0.5", None, 12, 20), (None, "0.5", 0, 12)):
        part = Part(*(text and Position.parse(text) for text in (start, stop)))
        info = probe(cases / "joined.ts", ReadOptions(part=part))
        assert abs(info.frames - (last - first)) <= 1
        pixels = [p.sum() for p in whole.stream()]
        found = [p.sum() for p in info.stream()]
        assert found == (pixels[-len(found) :] if start else pixels[: len(found)])


def test_a_part_of_a_stream_with_open_groups_has_every_frame(tmp_path):
    source = tmp_path / "open.mp4"
    command = "ffmpeg -v error -f lavfi -i testsrc2=s=64x48:r=25:d=14 -c:v libx265 -x265-params"
    options = "log-level=error:open-gop=1:keyint=25:bframes=4"
    subprocess.run([*command.split(), options, source], check=True)
    whole = [p.sum() for p in probe(source).stream()]
    for start, stop, frames in (("10.96", "11.04", (274, 276)), ("12.92", "13.2", (323, 330))):
        part = Part(Position.parse(start), Position.parse(stop))
        info = probe(source, ReadOptions(part=part))
        assert [p.sum() for p in info.stream()] == whole[slice(*frames)]


def test_a_part_from_a_time_to_a_frame(tmp_path):
    source = make_video(tmp_path / "long.mp4", smooth_frames(400, 16, 16), range(400))
    part = Part(Position.parse("12"), Position.parse("#310"))
    assert probe(source, ReadOptions(part=part)).frames == 10


def test_a_pause_between_subtitles_is_no_new_recording():
    clock = Clock("mpegts")
    for second in range(0, 40):
        clock.recording(0, Fraction(second), Fraction(second + 1))
    for second in (2, 20, 35):
        clock.recording(1, Fraction(second), Fraction(second + 1))
    assert clock.offsets(0) == (0,) and clock.joined(0) == (0,)


def test_bytes_behind_the_last_box_are_no_missing_ones(cases, tmp_path):
    data = (cases / "plain.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data + b"\0\0made by a camera\0\0")
    assert probe(tmp_path / "a.mp4").frames == 10


def test_tags_in_other_encodings_are_read(cases, tmp_path):
    data = (cases / "null_frames.avi").read_bytes()
    at = data.find(b"Lavf")
    assert at > 0
    (tmp_path / "a.avi").write_bytes(data[:at] + b"L\xe9vf" + data[at + 4 :])
    tags = probe(tmp_path / "a.avi").metadata
    assert any(value.startswith("Lévf") for value in tags.values())


def test_theora_s_repeated_frames_are_no_damage(cases, tmp_path):
    source = tmp_path / "a.ogv"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:s=64x48:r=25:d=1"]
    subprocess.run([*command, "-c:v", "libtheora", source], check=True)
    info = probe(source)
    assert info.damaged == 0 and info.notes == ()
