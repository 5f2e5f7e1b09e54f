"""Limits on media: what is refused before it is decoded, what while, and what never is."""

import dataclasses
import io
import struct
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clips import make_video, smooth_frames
from tests.video.bombs import box, element, encoded, matroska, png, put
from uav_jax.video.headers import declared_samples
from uav_jax.video.images import decode_picture, read_picture
from uav_jax.video.limits import (
    DEFAULT_LIMITS,
    NO_LIMITS,
    UPLOAD_LIMITS,
    DecodeMeter,
    LimitError,
    MediaLimits,
)
from uav_jax.video.matroska import held_bytes
from uav_jax.video.probe import probe
from uav_jax.video.read import read_clip
from uav_jax.video.source import ReadOptions

HOUR = 3600.0


def limited(**values) -> ReadOptions:
    return ReadOptions(limits=MediaLimits(**values))


@pytest.fixture
def clip(tmp_path):
    return make_video(tmp_path / "clip.mp4", smooth_frames(12, 48, 64), range(12))


ACCEPTED = {
    "an 8K film": (7680, 4320, "video"),
    "12K": (12288, 6480, "video"),
    "16K": (15360, 8640, "video"),
    "a 4K animation": (4096, 2304, "animation"),
    "a photograph of 256 million pixels": (16_000, 16_000, "image"),
    "a panorama of 20:1": (60_000, 3_000, "image"),
    "a single row": (8000, 1, "image"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_sizes_that_people_have_are_accepted(case):
    DEFAULT_LIMITS.check_size("x", *ACCEPTED[case])


@pytest.mark.parametrize(
    "rate, seconds, size",
    [
        (60, 10 * HOUR, (7680, 4320)),
        (60, 1.0, (15360, 8640)),
        (960, 20 * 60.0, (1920, 1080)),
        (1, 10 * HOUR, (7680, 4320)),
    ],
)
def test_films_of_hours_and_slow_motion_are_accepted(rate, seconds, size):
    DEFAULT_LIMITS.check_declared("x", round(rate * seconds), seconds)
    meter = DecodeMeter("x", DEFAULT_LIMITS)
    for number in range(min(5000, round(rate * seconds))):
        meter.frame(*size, True, number / rate)
        meter.packet()


def test_no_limits_accepts_everything():
    NO_LIMITS.check_size("x", 10**6, 1)
    NO_LIMITS.check_frames("x", 10**12)
    meter = DecodeMeter("x", NO_LIMITS, clock=iter([0.0, 1e9]).__next__)
    meter.packet()


def test_uploads_are_limited_more_strictly_in_everything():
    for name in {field.name for field in dataclasses.fields(MediaLimits)} - {"hint"}:
        assert getattr(UPLOAD_LIMITS, name) < getattr(DEFAULT_LIMITS, name) < 2**62
    with pytest.raises(ValueError, match="limit frames 0; expected more than 0"):
        MediaLimits(frames=0)


@pytest.mark.parametrize(
    "limits, message",
    [
        ({"video_pixels": 3000}, r"is 64x48, 3,072 pixels; up to 3,000 are accepted of a video"),
        ({"side_ratio": 1}, "one side may be up to 1 times the other"),
        ({"frames": 11}, "declares 12 frames; up to 11 are accepted"),
        ({"frame_rate": 8}, "has 12 frames in 0.48 s; up to 8 a second are accepted"),
        ({"bytes_per_second": 9000}, "decodes to 9,216 bytes in 0.00 s; up to 9,000 a second"),
        ({"streams": 1}, "has more than 1 streams"),
        ({"decode_seconds": 1e-9, "decode_seconds_per_second": 1e-9}, "s to decode 0.0 s of video"),
    ],
)
def test_every_limit_is_said_with_the_option_that_lifts_it(limits, message, tmp_path):
    path = make_video(tmp_path / "clip.mp4", smooth_frames(12, 48, 64), range(12), audio=True)
    with pytest.raises(LimitError, match=message) as error:
        probe(path, limited(**limits))
    assert "limits=NO_LIMITS" in str(error.value) and "clip.mp4" in str(error.value)
    assert probe(path, ReadOptions(limits=NO_LIMITS)).frames == 12


def test_frames_are_counted_where_no_header_counts_them(tmp_path):
    path = make_video(tmp_path / "clip.ts", smooth_frames(12, 48, 64), range(12))
    with pytest.raises(LimitError, match="has at least 6 frames; up to 5 are accepted"):
        probe(path, limited(frames=5))
    with pytest.raises(LimitError, match=r"has 7 frames in 0.24 s; up to 5 a second"):
        probe(path, limited(frame_rate=5))


def test_decoding_time_counts_from_the_start_and_grows_with_the_video():
    now = [0.0]
    limits = MediaLimits(decode_seconds=10, decode_seconds_per_second=5)
    meter = DecodeMeter("x", limits, clock=lambda: now[0])
    now[0] = 10.0
    meter.packet()
    for number in range(51):
        meter.frame(64, 48, False, number / 25)
    now[0] = 20.0  # 2 s of video allow 10 s more
    meter.packet()
    now[0] = 20.1
    with pytest.raises(LimitError, match=r"took 20 s to decode 2.0 s of video; up to 20 s"):
        meter.packet()


@pytest.mark.parametrize("order", [(32, 64), (64, 32)])
def test_a_size_above_the_limit_is_not_decoded_wherever_it_comes(order, tmp_path):
    parts = [
        make_video(tmp_path / f"{n}.ts", smooth_frames(30, side, side), range(30)).read_bytes()
        for n, side in enumerate(order)
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    with pytest.raises(LimitError, match=r"more than the 3,000 pixels that|64x64, 4,096 pixels"):
        probe(path, limited(video_pixels=3000))


def test_what_was_probed_without_limits_is_read_without_them(clip, monkeypatch):
    info = probe(clip, ReadOptions(limits=NO_LIMITS))
    monkeypatch.setattr("uav_jax.video.decode.DEFAULT_LIMITS", MediaLimits(video_pixels=1))
    assert len(list(info.stream())) == 12
    with pytest.raises(LimitError):
        list(dataclasses.replace(info, options=limited(video_pixels=100)).stream())


def test_clips_for_training_are_limited_too(clip, monkeypatch):
    monkeypatch.setattr("uav_jax.video.read.DEFAULT_LIMITS", MediaLimits(bytes_per_second=9000))
    with pytest.raises(LimitError, match="decodes to"):
        read_clip(clip, 0.5, 3)


def test_pillow_and_other_readers_have_the_limit_of_the_file_and_keep_their_own(tmp_path):
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.new("L", (200, 100)).save(tmp_path / "a.png")
    with pytest.raises(LimitError, match="200x100, 20,000 pixels; up to 19,999 are accepted of an"):
        read_picture(tmp_path / "a.png", limits=MediaLimits(image_pixels=19_999))
    with pytest.raises(LimitError, match="more than 5,000 pixels; limits=NO_LIMITS"):
        read_picture(tmp_path / "a.png", limits=MediaLimits(image_pixels=5000))
    assert before == Image.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError, match="truncated"):  # 14000x14000 is more than Pillow's limit
        decode_picture(png(14_000, 14_000), "x")


def test_a_deep_picture_is_limited_for_both_of_its_readers(tmp_path):
    path = tmp_path / "deep.png"
    frame = av.VideoFrame.from_ndarray(np.zeros((20, 30, 3), np.uint16), "rgb48le")
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = 30, 20, "rgb48be"
    context.time_base = Fraction(1, 25)
    packets = [*context.encode(frame.reformat(format="rgb48be")), *context.encode(None)]
    path.write_bytes(b"".join(map(bytes, packets)))
    assert read_picture(path).pixels.dtype == np.uint16
    with pytest.raises(LimitError, match="30x20"):
        read_picture(path, limits=MediaLimits(image_pixels=599))


def samples(data: bytes) -> int:
    return declared_samples(io.BytesIO(data))


def test_samples_of_real_files_are_counted(tmp_path):
    assert samples(encoded(tmp_path / "a.mp4", 7)) == 7
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    assert samples(encoded(tmp_path / "b.mp4", 7, **fragments)) == 7
    sound = make_video(tmp_path / "c.mp4", smooth_frames(5, 32, 32), range(5), audio=True)
    with av.open(str(sound)) as container:
        assert samples(sound.read_bytes()) == 5 + container.streams.audio[0].frames
    assert samples(encoded(tmp_path / "d.avi", 3)) == samples(b"not a box at all") == 0


def test_samples_are_found_wherever_ffmpeg_finds_them(tmp_path):
    data = encoded(tmp_path / "a.mp4")
    put(data, b"stsz", 8, 1000)
    tables = bytes(data[data.find(b"stbl") - 4 :][: 1 << 12])
    table = box(b"stsz", struct.pack(">III", 0, 1, 500))
    assert samples(box(b"moov", box(b"trak", box(b"udta", tables)))) == 1000
    assert samples(box(b"moov", box(b"trak", box(b"stsd", bytes(90) + table)))) == 500
    for _ in range(2000):
        table = box(b"moov", table)
    assert samples(table) == 0  # deeper than FFmpeg goes


def test_an_index_may_be_as_large_as_a_real_file_s(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(encoded(path, 50))
    assert probe(path, limited(held_bytes=1)).frames == 50
    data = bytearray(path.read_bytes())
    put(data, b"stsz", 8, 5000)
    path.write_bytes(data)
    with pytest.raises(LimitError, match=r"an index, .* that take 180,000 bytes; up to 1 are"):
        probe(path, limited(held_bytes=1))


def test_uncompressed_sound_of_hours_is_no_bomb(tmp_path):
    def track(count: int) -> bytes:
        head = box(b"hdlr", struct.pack(">II4s", 0, 0, b"soun") + bytes(12))
        times = box(b"stts", struct.pack(">IIII", 0, 1, count, 1))
        chunks = box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 4800, 1))
        places = box(b"stco", struct.pack(">II", 0, count // 4800))
        sizes = box(b"stsz", struct.pack(">III", 0, 2, count))
        return box(b"moov", box(b"trak", head + times + chunks + places + sizes))

    assert samples(track(10 * 3600 * 48000)) == 10 * 3600 * 10 * 5
    assert samples(track(4800)) == 5


@pytest.mark.parametrize("position", [2**62, 2**64 - 1])
def test_a_seek_head_may_name_a_position_that_no_file_has(position, tmp_path):
    entry = element(0x4DBB, element(0x53AC, position.to_bytes(8, "big")))
    path = tmp_path / "clip.mkv"
    path.write_bytes(matroska(element(0x114D9B74, entry)))
    with path.open("rb") as file:
        assert held_bytes(file) == 0


def test_a_seek_head_that_names_itself_is_read_once(tmp_path):
    entries = element(0x4DBB, element(0x53AC, b"\0")) * 2000
    path = tmp_path / "clip.mkv"
    path.write_bytes(matroska(element(0x114D9B74, entries)))
    started = time.process_time()
    with path.open("rb") as file:
        assert held_bytes(file) == 0
    assert time.process_time() - started < 1


def test_a_quicktime_film_with_uncompressed_sound_is_read(tmp_path):
    path = tmp_path / "film.mov"
    with av.open(str(path), "w") as out:
        video, sound = out.add_stream("libx264", rate=25), out.add_stream("pcm_s16le", rate=48000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            out.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
        out.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 48000), np.int16), "s16", "stereo")
        frame.sample_rate = 48000
        out.mux(sound.encode(frame))
        out.mux(sound.encode())
    assert samples(path.read_bytes()) < 200
    assert probe(path, limited(held_bytes=10_000)).frames == 3


def test_the_rate_is_that_of_the_film_and_not_of_a_short_edit(tmp_path):
    path = tmp_path / "a.mp4"
    data = bytearray(encoded(path, 200))
    put(data, b"elst", 8, 40)  # shows 40 ms of 8 s
    path.write_bytes(data)
    assert probe(path, limited(frame_rate=100)).frames >= 1


def test_tables_in_sample_descriptions_are_read_in_linear_time():
    tables = b"stsz" * (1 << 18)
    started = time.process_time()
    samples(box(b"moov", box(b"trak", box(b"stsd", tables))))
    assert time.process_time() - started < 1


def test_metadata_is_found_behind_its_handler_with_and_without_a_version():
    trak = box(b"trak", box(b"stsz", struct.pack(">III", 0, 1, 7)))
    for version in (b"", bytes(4)):  # QuickTime's and ISO's form
        inside = version + box(b"hdlr", bytes(20)) + trak
        assert samples(box(b"moov", box(b"meta", inside))) == 7
