"""Video in and out, on files made here."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from uav_jax.io.frames import FrameWriter, read_frames
from uav_jax.io.video import Clip, VideoWriter, read_video

H264_ERROR = 6.0
"""Mean absolute error in 8-bit levels that 4:2:0 H.264 at high quality stays below here."""


def smooth_frames(count, height, width):
    y, x, t = np.mgrid[:height, :width, :count].transpose(0, 3, 1, 2)
    planes = [x * 200 / width + t * 3, y * 200 / height, 120 + 0 * x]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def make_video(path: Path, frames, pts, *, time_base=Fraction(1, 25), audio=False, transfer=None):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.time_base = stream.time_base = time_base
        stream.options = {"crf": "1"}
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        sound = out.add_stream("aac", rate=44100, layout="stereo") if audio else None
        for image, time in zip(frames, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = time, time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if sound is not None:
            tone = (np.sin(np.arange(44100) / 20) * 9000).astype(np.int16).repeat(2)[None]
            frame = av.AudioFrame.from_ndarray(tone, "s16", "stereo")
            frame.sample_rate = 44100
            out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


def audio_packets(path):
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(p.pts, bytes(p)) for p in packets if p.size]


def copy(path: Path, target: Path) -> tuple[Clip, Clip]:
    clip = read_video(path)
    writer = VideoWriter(target, clip, *clip.frames.shape[1:3])
    writer.write(clip.frames)
    writer.close()
    return clip, read_video(target)


def test_frames_timestamps_and_audio_packets_survive(tmp_path):
    frames = smooth_frames(12, 48, 64)
    source = make_video(tmp_path / "a.mp4", frames, range(12), audio=True)
    before, after = copy(source, tmp_path / "b.mp4")
    assert np.abs(before.frames.astype(int) - frames).mean() < H264_ERROR
    assert after.frames.shape == frames.shape and after.rate == before.rate
    assert np.abs(after.frames.astype(int) - before.frames).mean() < H264_ERROR
    times = [[p * c.time_base for p in c.pts] for c in (before, after)]
    assert times[0] == times[1]
    assert audio_packets(source) == audio_packets(tmp_path / "b.mp4")


def test_variable_frame_times_are_kept(tmp_path):
    pts = [0, 1, 2, 10, 11, 30]
    source = make_video(
        tmp_path / "v.mkv", smooth_frames(6, 32, 32), pts, time_base=Fraction(1, 1000)
    )
    before, after = copy(source, tmp_path / "w.mkv")
    assert [float(p * after.time_base) for p in after.pts] == pytest.approx(
        [float(p * before.time_base) for p in before.pts], abs=1e-3
    )
    assert len(after.frames) == 6


@pytest.mark.parametrize("count", [1, 2, 9])
def test_short_clips_keep_every_frame(tmp_path, count):
    source = make_video(tmp_path / "s.mp4", smooth_frames(count, 32, 48), range(count))
    assert len(copy(source, tmp_path / "t.mp4")[1].frames) == count


def test_colours_survive_the_round_trip(tmp_path):
    patches = np.zeros((3, 64, 64, 3), np.uint8)
    patches[:, :32, :32], patches[:, :32, 32:] = (200, 30, 30), (30, 200, 30)
    patches[:, 32:, :32], patches[:, 32:, 32:] = (30, 30, 200), (128, 128, 128)
    clip = Clip(
        frames=patches,
        pts=[0, 1, 2],
        durations=[1] * 3,
        time_base=Fraction(1, 25),
        rate=Fraction(25),
        source=tmp_path,
    )
    writer = VideoWriter(tmp_path / "c.mp4", clip, 64, 64)
    writer.write(patches)
    writer.close()
    after = read_video(tmp_path / "c.mp4").frames.astype(int)
    for y, x in ((16, 16), (16, 48), (48, 16), (48, 48)):
        assert np.abs(after[1, y, x] - patches[1, y, x]).max() <= 4


def test_rotation_metadata_turns_the_frames(tmp_path, monkeypatch):
    from uav_jax.io import video

    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert np.array_equal(video.rotated(image, 90), np.rot90(image, 1))
    assert np.array_equal(video.rotated(image, -90), np.rot90(image, 3))
    assert np.array_equal(video.rotated(image, 180), image[::-1, ::-1])


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_truncated_videos_are_refused(tmp_path, container):
    rng = np.random.RandomState(0)
    frames = rng.randint(0, 256, (75, 64, 64, 3), np.uint8)
    data = make_video(tmp_path / f"whole.{container}", frames, range(75)).read_bytes()
    path = tmp_path / f"cut.{container}"
    for part in (0, 50, len(data) // 3, 2 * len(data) // 3):
        path.write_bytes(data[:part])
        with pytest.raises(ValueError, match=r"cut\."):
            read_video(path)


def test_what_is_no_video_is_refused(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    with pytest.raises(ValueError, match="cannot be read as a video"):
        read_video(text)
    with pytest.raises(ValueError, match="does not exist"):
        read_video(tmp_path / "absent.mp4")


def test_an_aborted_file_leaves_nothing(tmp_path):
    source = make_video(tmp_path / "a.mp4", smooth_frames(3, 32, 32), range(3))
    writer = VideoWriter(tmp_path / "b.mp4", read_video(source), 32, 32)
    writer.write(smooth_frames(1, 32, 32))
    writer.abort()
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def put(folder, name, image):
    folder.mkdir(exist_ok=True)
    image.save(folder / name)


def test_image_folders_sort_naturally_and_become_rgb(tmp_path):
    put(tmp_path / "f", "frame10.png", Image.new("RGBA", (4, 3), (255, 255, 255, 0)))
    put(tmp_path / "f", "frame2.png", Image.new("L", (4, 3), 90))
    put(tmp_path / "f", "frame1.png", Image.new("I;16", (4, 3), 257 * 40))
    clip = read_frames(tmp_path / "f")
    assert clip.frames.shape == (3, 3, 4, 3)
    assert [int(f.max()) for f in clip.frames] == [40, 90, 0]  # transparent white lies over black


def test_frames_of_different_sizes_are_refused_with_both_sizes(tmp_path):
    put(tmp_path / "f", "1.png", Image.new("RGB", (4, 3)))
    put(tmp_path / "f", "2.png", Image.new("RGB", (5, 3)))
    with pytest.raises(ValueError, match=r"2\.png is 5x3, but 1\.png is 4x3"):
        read_frames(tmp_path / "f")


def test_an_unreadable_image_is_named(tmp_path):
    put(tmp_path / "f", "1.png", Image.new("RGB", (4, 3)))
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    (tmp_path / "f" / "2.png").write_bytes(buffer.getvalue()[:60])
    with pytest.raises(ValueError, match=r"2\.png cannot be read"):
        read_frames(tmp_path / "f")


def test_png_frames_appear_only_when_finished(tmp_path):
    frames = smooth_frames(2, 8, 8)
    writer = FrameWriter(tmp_path / "out")
    writer.write(frames)
    assert not (tmp_path / "out").exists()
    writer.close()
    assert np.array_equal(read_frames(tmp_path / "out").frames, frames)
