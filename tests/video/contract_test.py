"""What a result keeps of its source, whatever the codec: frames, times, streams, size, colours."""

import dataclasses
import errno
import json
import shutil
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from tests.clips import audio_packets, make_video, smooth_frames
from uav_jax.video.codecs import CODECS, OutputFormat, check_size, size_for_codec
from uav_jax.video.mux import join
from uav_jax.video.position import Part, Position
from uav_jax.video.probe import probe
from uav_jax.video.source import ReadOptions
from uav_jax.video.streams import automatic_suffix, can_hold, plan_streams
from uav_jax.video.write import SegmentFormat, encode_segment, quantised, write_video

PICTURE_ERROR = 3.0
"""Mean error in 8-bit levels that every codec's default quality stays below on smooth frames."""


def write(source, target, frames=None, *, cut=6, read=None, **output):
    """`frames`, or those of the source, as the result of `source`, in segments."""
    info = probe(source, read)
    chosen = OutputFormat(**output).resolved(info, target.suffix)
    alpha, depth = chosen.keeps_alpha(info), chosen.depth(info)
    form = SegmentFormat(
        output=chosen,
        depth=depth,
        alpha=alpha,
        rate=info.rate,
        colors=info.colors,
        sample_aspect_ratio=info.sample_aspect_ratio,
    )
    if frames is None:
        values = [_as(f, depth) for f in info.stream(keep_alpha=alpha)]
    else:
        values = list(quantised(frames / 127.5 - 1, depth, truncate=False))
    segments = []
    for start in range(0, len(values), cut):
        path = target.with_name(f"{target.stem}{start}.segment")
        encode_segment(path, values[start : start + cut], form)
        segments.append(path)
    join(target, segments, info, form, comment="how")
    for path in segments:
        path.unlink()
    return info, probe(target, ReadOptions(hdr="keep"))


def _as(frame, depth):
    """Integers of a result of `depth` bits."""
    if depth > 8:
        return frame if frame.dtype == np.uint16 else frame.astype(np.uint16) * 257
    return frame if frame.dtype == np.uint8 else (frame // 257).astype(np.uint8)


def streams(path):
    """What ffprobe says of a file."""
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters"]
    command += ["-of", "json", f"file:{path}"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


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
    made = np.stack([_as(f, 8) for f in after.stream()]).astype(float)
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
    assert automatic_suffix(OutputFormat(codec="h264"), before) == ".mkv"
    assert audio_packets(tmp_path / "b.mkv") == audio_packets(source)
    assert after.subtitle_codecs == before.subtitle_codecs == ("subrip",)
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
    whole = probe(source)
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        last = max(packets, key=lambda p: p.pos)
    data = bytearray(source.read_bytes())
    start = data.find(bytes(last)[:64])
    assert start > 0
    data[start : start + last.size] = bytes(last.size)
    source.write_bytes(data)
    damaged = probe(source)
    assert whole.frames == 9 and damaged.frames in (8, 9)
    assert len(list(damaged.stream())) == damaged.frames


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"codec": "vp8"}, "codec 'vp8'; expected png, h264"),
        ({"codec": "prores", "crf": 3}, "crf 3 was given, but codec prores has no rate factor"),
        ({"codec": "h264", "crf": 52}, "crf 52 is outside 0..51"),
        ({"codec": "av1", "crf": 64}, r"crf 64 is outside 0\.\.63 \(codec av1\)"),
        ({"crf": -1}, "crf -1 is negative"),
        ({"codec": "h264", "preset": "quick"}, "preset 'quick' of codec h264; expected ultrafast"),
        ({"codec": "ffv1", "preset": "fast"}, "it has no presets"),
        ({"alpha": "yes"}, "alpha 'yes'; expected auto, keep or black"),
    ],
)
def test_impossible_formats_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        OutputFormat(**fields)


def test_rotated_sources_come_out_upright(tmp_path):
    frames = smooth_frames(3, 48, 64)
    make_video(tmp_path / "a.mp4", frames, range(3))
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg to write a display matrix")
    command = ["ffmpeg", "-v", "error", "-i", "a.mp4", "-c", "copy", "-metadata:s:v", "rotate=90"]
    subprocess.run([*command, "r.mp4"], cwd=tmp_path, check=True)
    turned = probe(tmp_path / "r.mp4")
    assert (turned.height, turned.width) == (64, 48)


def test_text_subtitles_are_converted_where_a_container_needs_it(cases, tmp_path):
    for name, target, codec in (
        ("sub_srt.mkv", "y.mp4", "mov_text"),
        ("sub_text.mp4", "y.mkv", "subrip"),
        ("sub_srt.mkv", "y.webm", "webvtt"),
    ):
        write(cases / name, tmp_path / target)
        (subtitle,) = (
            s for s in streams(tmp_path / target)["streams"] if s["codec_type"] == "subtitle"
        )
        assert subtitle["codec_name"] == codec
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            tmp_path / target,
            "-map",
            "0:s",
            "-f",
            "srt",
            "-",
        ]
        text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        assert "00:00:00,000 --> 00:00:00,300" in text and "hi" in text


def test_flags_languages_and_attachments_are_kept(cases, tmp_path):
    info = probe(cases / "flags.mkv")
    assert automatic_suffix(OutputFormat(codec="h264"), info) == ".mkv"
    write(cases / "flags.mkv", tmp_path / "y.mkv")
    found = streams(tmp_path / "y.mkv")["streams"]
    flags = [[k for k, v in s["disposition"].items() if v] for s in found]
    assert flags == [["default"], [], ["default"], ["forced"], []]
    assert found[2]["tags"]["language"] == "fre"
    assert found[4]["tags"] == {"filename": "s.srt", "mimetype": "text/plain"}
    with av.open(str(tmp_path / "y.mkv")) as container:
        (attached,) = container.streams.attachments
        assert attached.data == (cases / "s.srt").read_bytes()


def test_start_and_sync_are_kept(cases, tmp_path):
    for target in ("y.mkv", "y.mp4"):
        write(cases / "offset.mkv", tmp_path / target)
        video, audio = streams(tmp_path / target)["streams"]
        assert float(video["start_time"]) == pytest.approx(5.0, abs=1e-3)
        assert float(audio["start_time"]) == pytest.approx(4.977, abs=1e-3)


def test_joined_recordings_play_through_with_their_sound(cases, tmp_path):
    _, after = write(cases / "joined.ts", tmp_path / "y.mkv")
    assert after.frames == 20
    sound = [p for p, _ in audio_packets(tmp_path / "y.mkv")]
    assert all(a < b for a, b in pairwise(sound))
    assert len(sound) == len(audio_packets(cases / "joined.ts"))
    middle = len(sound) // 2  # the second recording's sound begins with its pictures
    assert abs(sound[middle] / 1000 - seconds(after)[10]) < 0.05


def test_pixels_keep_their_shape(cases, tmp_path):
    for target in ("y.mp4", "y.mkv"):
        _, after = write(cases / "sar.mp4", tmp_path / target)
        assert after.sample_aspect_ratio == Fraction(32, 27)
        assert streams(tmp_path / target)["streams"][0]["sample_aspect_ratio"] == "32:27"


def test_deep_sources_become_a_file_that_plays_everywhere(cases, tmp_path):
    _, after = write(cases / "ten_bit.mkv", tmp_path / "y.mp4")
    (video,) = streams(tmp_path / "y.mp4")["streams"]
    assert (video["codec_name"], video["codec_tag_string"]) == ("hevc", "hvc1")
    assert video["pix_fmt"] == "yuv420p10le" and after.bits == 10
    write(cases / "plain.mp4", tmp_path / "z.mov", codec="h265")
    assert streams(tmp_path / "z.mov")["streams"][0]["codec_tag_string"] == "hvc1"


def test_deep_colours_survive_within_a_level_of_ten_bits(cases, tmp_path):
    before, after = write(cases / "ten_bit.mkv", tmp_path / "y.mkv", codec="ffv1")
    pairs = zip(before.stream(), after.stream(), strict=True)
    assert max(np.abs(a.astype(int) - b).max() for a, b in pairs) <= 65535 / 1023


def test_wide_gamut_colours_keep_their_tags_and_values(cases, tmp_path):
    before, after = write(cases / "bt2020.mkv", tmp_path / "y.mp4")
    assert after.colors == before.colors and after.colors.matrix == 9
    errors = [
        np.abs(a / 257 - b / 257) for a, b in zip(before.stream(), after.stream(), strict=True)
    ]
    assert np.median(errors) < PICTURE_ERROR


@pytest.mark.parametrize("codec", ["h265", "av1"])
def test_high_dynamic_range_keeps_tags_and_mastering_metadata(cases, tmp_path, codec):
    kept = ReadOptions(hdr="keep")
    before, after = write(cases / "hdr10.mkv", tmp_path / "y.mp4", codec=codec, read=kept)
    assert (after.colors.primaries, after.colors.transfer, after.colors.matrix) == (9, 16, 9)
    assert after.colors.mastering == pytest.approx(before.colors.mastering, abs=1e-2)
    assert after.colors.light_level == (1000, 400)


@pytest.mark.parametrize(("codec", "suffix"), [("prores", ".mov"), ("ffv1", ".mkv")])
def test_alpha_is_kept_by_codecs_that_have_it(cases, tmp_path, codec, suffix):
    before, after = write(cases / "alpha.mov", tmp_path / f"y{suffix}", codec=codec)
    assert before.alpha and after.alpha
    a, b = (next(i.stream(keep_alpha=True)) / 65535 for i in (before, after))
    assert np.abs(a - b).max() < 0.02
    if codec == "prores":
        assert streams(tmp_path / "y.mov")["streams"][0]["codec_tag_string"] == "ap4h"
    with pytest.raises(ValueError, match="codec h264 cannot hold alpha; use --codec prores"):
        OutputFormat(codec="h264", alpha="keep").keeps_alpha(before)
    assert not OutputFormat(codec=codec, alpha="black").keeps_alpha(before)


def test_mp3_stays_in_mp4_and_foreign_sound_is_converted_for_webm(cases, tmp_path):
    info = probe(cases / "mp3.mp4")
    assert automatic_suffix(OutputFormat(codec="h264"), info) == ".mp4"
    write(cases / "mp3.mp4", tmp_path / "y.mp4")
    assert [p for _, p in audio_packets(tmp_path / "y.mp4")] == [
        p for _, p in audio_packets(cases / "mp3.mp4")
    ]
    write(cases / "plain.mp4", tmp_path / "y.webm")
    video, audio = streams(tmp_path / "y.webm")["streams"]
    assert (video["codec_name"], audio["codec_name"]) == ("vp9", "opus")
    write(cases / "flags.mkv", tmp_path / "z.webm")  # Vorbis is copied
    copied = [s for s in streams(tmp_path / "z.webm")["streams"] if s["codec_name"] == "vorbis"]
    assert len(copied) == 2


def test_a_cover_picture_is_kept_and_not_upscaled(cases, tmp_path):
    source = tmp_path / "cover.mp4"
    command = ["ffmpeg", "-v", "error", "-i", cases / "plain.mp4", "-i", cases / "exif.jpg"]
    command += ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic", source]
    subprocess.run(command, check=True)
    for suffix in (".mp4", ".mkv"):
        _, after = write(source, tmp_path / f"y{suffix}")
        assert after.frames == 10
        assert [(s.kind, s.codec) for s in after.streams][1:] == [("cover", "mjpeg")]


def test_a_stream_that_no_container_holds_is_left_out_and_said(cases, tmp_path):
    info = probe(cases / "plain.mp4")
    odd = dataclasses.replace(info.streams[0], codec="unknown")
    plans = plan_streams(dataclasses.replace(info, streams=(odd,)), ".mp4")
    assert [(p.action, p.reason) for p in plans] == [("drop", "its format is not known here")]
    bitmap = dataclasses.replace(odd, kind="subtitle", codec="hdmv_pgs_subtitle")
    with_bitmap = dataclasses.replace(info, streams=(bitmap,))
    with pytest.raises(ValueError, match=r"a \.mp4 file cannot hold stream 1 \(subtitle, hdmv_pgs"):
        plan_streams(with_bitmap, ".mp4")
    assert automatic_suffix(OutputFormat(codec="h264"), with_bitmap) == ".mkv"


def test_a_part_has_its_own_sound_subtitles_and_chapters(tmp_path):
    source, _ = rich_source(tmp_path)
    part = ReadOptions(part=Part(Position.parse("0.2"), Position.parse("0.6")))
    before, after = write(source, tmp_path / "y.mkv", read=part)
    assert after.frames == 10 and seconds(after)[0] == pytest.approx(0, abs=1e-3)
    whole = {data: pts for pts, data in audio_packets(source)}
    sound = audio_packets(tmp_path / "y.mkv")
    moved = {whole[data] - pts for pts, data in sound}
    assert len(sound) >= 10 and max(moved) - min(moved) <= 1
    assert abs(min(moved) / 1000 - seconds(before)[0]) < 2e-3
    said = streams(tmp_path / "y.mkv")
    end = 0.5 - seconds(before)[0]
    assert float(said["chapters"][0]["end_time"]) == pytest.approx(end, abs=1e-3)
    assert after.subtitle_codecs == ("subrip",)


@pytest.mark.parametrize(
    ("codec", "width", "height", "fits"),
    [
        ("h264", 16384, 16, True),
        ("h264", 16416, 64, False),
        ("av1", 64, 8720, False),
        ("h265", 8, 8, False),
        ("h265", 16416, 64, True),
        ("ffv1", 40000, 16, True),
    ],
)
def test_sizes_that_an_encoder_cannot_hold_are_refused_before(codec, width, height, fits):
    output = OutputFormat(codec=codec)
    if fits:
        check_size(output, height, width, 8, False)
        return
    with pytest.raises(ValueError, match=f"{width}x{height} is not possible with codec {codec}"):
        check_size(output, height, width, 8, False)


def test_sizes_are_even_where_colours_are_at_half_resolution():
    assert size_for_codec(27, 39, "h264") == (28, 40)
    assert size_for_codec(27, 39, "ffv1") == size_for_codec(27, 39, "png") == (27, 39)


def test_a_plain_video_is_written_with_even_times(tmp_path):
    frames = smooth_frames(5, 32, 48)
    write_video(tmp_path / "a.mkv", frames, Fraction(4), output=OutputFormat(codec="ffv1"))
    info = probe(tmp_path / "a.mkv")
    assert np.array_equal(np.stack(list(info.stream())), frames)
    assert seconds(info) == [0, 0.25, 0.5, 0.75, 1.0]


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    code = f"""
import resource, numpy as np
from fractions import Fraction
from pathlib import Path
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.write import write_video
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
noise = np.random.RandomState(0).randint(0, 256, (20, 64, 64, 3), np.uint8)
lossless = OutputFormat(codec="ffv1")
try:
    write_video(Path({str(tmp_path / "a.mkv")!r}), noise, Fraction(25), output=lossless)
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(errno.EFBIG), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "codec", "able"),
    [
        (".mkv", "hdmv_pgs_subtitle", True),
        (".mp4", "hdmv_pgs_subtitle", False),
        (".mkv", "dts", True),
        (".mp4", "subrip", False),
        (".webm", "aac", False),
        (".mkv", "no_such_format", False),
    ],
)
def test_what_a_container_can_hold_is_known_by_the_names_of_formats(suffix, codec, able):
    assert can_hold(suffix, codec) is able
