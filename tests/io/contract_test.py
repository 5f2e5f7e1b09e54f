"""What a result keeps of its source, whatever the codec: frames, times, streams, size, colours."""

import json
import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.io.video_test import audio_packets, make_video, smooth_frames
from uav_jax.io.encode import CODECS, OutputFormat, encode_segment, join, quantised
from uav_jax.io.source import FrameWindow, scan

PICTURE_ERROR = 3.0
"""Mean error in 8-bit levels that every codec's default quality stays below on smooth frames."""


def write(source, target, frames, *, codec="h264", cut=6, bits=None):
    """``frames`` as the result of ``source``, in segments."""
    info = scan(source)
    output = OutputFormat(codec=codec, bits=bits)
    depth, segments = output.depth(info.bits), []
    for start in range(0, len(frames), cut):
        path = target.with_name(f"{target.stem}{start}.segment")
        values = quantised(frames[start : start + cut] / 127.5 - 1, depth, truncate=False)
        encode_segment(path, list(values), output, depth, info)
        segments.append(path)
    join(target, segments, info, comment="how")
    for path in segments:
        path.unlink()
    return info, scan(target)


def seconds(info):
    return [float(p * info.time_base) for p in info.pts]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_frames_and_times_over_segment_borders(tmp_path, codec):
    frames = smooth_frames(14, 48, 64)
    source = make_video(tmp_path / "a.mp4", frames, range(14))
    target = tmp_path / f"b{CODECS[codec].containers[0]}"
    before, after = write(source, target, frames, codec=codec)
    assert after.frames == 14
    assert seconds(after) == pytest.approx(seconds(before), abs=1e-3)
    assert after.bits == (10 if codec == "prores" else 8)
    made = np.stack(list(after.stream())).astype(float)
    assert np.abs(made - frames).mean() < (1e-9 if codec == "ffv1" else PICTURE_ERROR)


def test_segments_joined_are_the_same_bytes_every_time(tmp_path):
    frames = smooth_frames(14, 48, 64)
    source = make_video(tmp_path / "a.mp4", frames, range(14), audio=True)
    for name in ("b.mkv", "c.mkv", "b.mp4", "c.mp4"):
        write(source, tmp_path / name, frames)
    for kind in ("mkv", "mp4"):
        first, second = ((tmp_path / f"{n}.{kind}").read_bytes() for n in "bc")
        assert first == second


@pytest.mark.parametrize("count", [1, 2, 9])
def test_short_clips_and_odd_sizes_keep_every_frame(tmp_path, count):
    frames = smooth_frames(count, 30, 42)
    source = make_video(tmp_path / "a.mkv", frames, range(count))
    _, after = write(source, tmp_path / "b.mkv", frames)
    assert after.frames == count and (after.height, after.width) == (30, 42)


def test_rates_of_ntsc_and_variable_times_are_exact(tmp_path):
    base = Fraction(1001, 24000)
    source = make_video(tmp_path / "a.mp4", smooth_frames(9, 32, 32), range(9), time_base=base)
    before, after = write(source, tmp_path / "b.mp4", smooth_frames(9, 32, 32))
    assert [p * after.time_base for p in after.pts] == [p * before.time_base for p in before.pts]
    pts = [0, 1, 2, 10, 11, 30, 31, 32]
    source = make_video(
        tmp_path / "v.mkv", smooth_frames(8, 32, 32), pts, time_base=Fraction(1, 1000)
    )
    before, after = write(source, tmp_path / "w.mkv", smooth_frames(8, 32, 32), cut=3)
    assert seconds(after) == pytest.approx([p / 1000 for p in pts], abs=1e-3)


def test_ten_bit_sources_give_ten_bit_results(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        stream.options = {"x265-params": "log-level=error"}
        for image in smooth_frames(3, 48, 64):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(stream.encode())
    before, after = write(tmp_path / "a.mkv", tmp_path / "b.mkv", smooth_frames(3, 48, 64))
    assert (before.bits, after.bits) == (10, 10)
    _, eight = write(tmp_path / "a.mkv", tmp_path / "c.mkv", smooth_frames(3, 48, 64), bits=8)
    assert eight.bits == 8


def test_the_colours_are_tagged_as_they_are(tmp_path):
    frames = smooth_frames(3, 48, 64)
    source = make_video(tmp_path / "a.mp4", frames, range(3))
    write(source, tmp_path / "b.mp4", frames)
    with av.open(str(tmp_path / "b.mp4")) as container:
        context = container.streams.video[0].codec_context
        found = (context.color_range, context.colorspace, context.color_primaries)
        assert tuple(map(int, found)) == (1, 1, 1)  # limited range, BT.709


def rich_source(folder):
    """A film with 5.1 sound, subtitles, chapters and a title."""
    frames = smooth_frames(25, 48, 64)
    make_video(folder / "plain.mp4", frames, range(25))
    (folder / "words.srt").write_text("1\n00:00:00,000 --> 00:00:00,500\nhello\n")
    (folder / "meta.txt").write_text(
        ";FFMETADATA1\ntitle=A film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n"
    )
    command = ["ffmpeg", "-v", "error", "-y", "-i", "plain.mp4", "-f", "lavfi", "-t", "1"]
    command += ["-i", "anoisesrc=r=48000,aformat=channel_layouts=5.1", "-i", "words.srt"]
    command += ["-i", "meta.txt", "-map", "0:v", "-map", "1:a", "-map", "2:s", "-map_metadata"]
    command += ["3", "-map_chapters", "3", "-c:v", "copy", "-c:a", "ac3", "-c:s", "srt", "rich.mkv"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "rich.mkv", frames


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg to make the source")
def test_sound_subtitles_chapters_and_title_are_copied(tmp_path):
    source, frames = rich_source(tmp_path)
    before, after = write(source, tmp_path / "b.mkv", frames)
    assert OutputFormat().suffix(before) == ".mkv"
    assert audio_packets(tmp_path / "b.mkv") == audio_packets(source)
    assert after.subtitle_codecs == before.subtitle_codecs == ("srt",)
    probe = ["ffprobe", "-v", "error", "-show_streams", "-show_chapters", "-show_format"]
    said = json.loads(
        subprocess.run(
            [*probe, "-of", "json", str(tmp_path / "b.mkv")], capture_output=True, check=True
        ).stdout
    )
    assert [s["codec_type"] for s in said["streams"]] == ["video", "audio", "subtitle"]
    assert said["streams"][1]["channels"] == 6
    assert said["chapters"][0]["tags"]["title"] == "One"
    tags = {name.lower(): value for name, value in said["format"]["tags"].items()}
    assert tags["title"] == "A film" and tags["comment"] == "how"


def test_a_damaged_last_packet_is_passed_over(tmp_path):
    rng = np.random.RandomState(0)
    frames = rng.randint(0, 256, (9, 64, 64, 3), np.uint8)
    source = make_video(tmp_path / "a.mkv", frames, range(9))
    whole = scan(source)
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        last = max(packets, key=lambda p: p.pos)
    data = bytearray(source.read_bytes())
    start = data.find(bytes(last)[:64])
    assert start > 0
    data[start : start + last.size] = bytes(last.size)
    source.write_bytes(data)
    damaged = scan(source)
    assert whole.frames == 9 and damaged.frames in (8, 9)
    assert len(list(damaged.stream())) == damaged.frames


def test_a_window_of_frames_reads_forward_only_what_is_asked_for(tmp_path):
    frames = smooth_frames(12, 32, 32)
    source = scan(make_video(tmp_path / "a.mkv", frames, range(12)))
    every = np.stack(list(source.stream()))
    window = FrameWindow(source)
    for first, last in ((0, 4), (2, 7), (7, 9), (10, 12)):
        assert np.array_equal(window.frames(first, last), every[first:last])


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"codec": "vp8"}, "codec 'vp8'; expected png, h264"),
        ({"codec": "prores", "crf": 3}, "crf 3 was given, but codec prores has no rate factor"),
        ({"crf": 52}, "crf 52 is outside 0..51"),
    ],
)
def test_impossible_formats_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        OutputFormat(**fields)


def test_high_dynamic_range_is_refused(tmp_path):
    with av.open(str(tmp_path / "hdr.mkv"), "w") as out:
        stream = out.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        stream.options = {"x265-params": "log-level=error:transfer=smpte2084"}
        stream.codec_context.color_trc = 16
        out.mux(stream.encode(av.VideoFrame.from_ndarray(smooth_frames(1, 48, 64)[0], "rgb24")))
        out.mux(stream.encode())
    with pytest.raises(ValueError, match=r"high dynamic range \(PQ\)"):
        scan(tmp_path / "hdr.mkv")


def test_rotated_sources_come_out_upright(tmp_path):
    frames = smooth_frames(3, 48, 64)
    make_video(tmp_path / "a.mp4", frames, range(3))
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg to write a display matrix")
    command = ["ffmpeg", "-v", "error", "-i", "a.mp4", "-c", "copy", "-metadata:s:v", "rotate=90"]
    subprocess.run([*command, "r.mp4"], cwd=tmp_path, check=True)
    turned = scan(tmp_path / "r.mp4")
    assert (turned.height, turned.width) == (64, 48)
