"""Frames are the same by whichever way they are read."""

import numpy as np
import pytest
from PIL import Image

from tests.clips import make_video, smooth_frames
from uav_jax.data.clips import VideoFile
from uav_jax.evaluation.dataset import digest
from uav_jax.video.probe import probe
from uav_jax.video.read import FrameWindow, read_clip, read_frames, stream_frames


@pytest.fixture(scope="module")
def hd(tmp_path_factory):
    """An untagged file of 720 lines, which players take for BT.709."""
    frames = np.random.RandomState(0).randint(0, 256, (8, 90, 160, 3), np.uint8)
    large = np.repeat(np.repeat(frames, 8, 1), 8, 2)
    return make_video(tmp_path_factory.mktemp("hd") / "hd.mp4", large, range(8))


def test_training_evaluation_and_upscaling_see_equal_pixels(hd):
    upscaling = np.stack(list(probe(hd).stream()))
    evaluation = np.stack(list(stream_frames(hd)))
    assert np.array_equal(upscaling, evaluation)
    assert digest(stream_frames(hd)) == digest(upscaling)
    for where in (0.0, 0.4, 1.0):
        clip = np.stack(read_clip(hd, where, 3))
        starts = [n for n in range(6) if np.array_equal(upscaling[n : n + 3], clip)]
        assert len(starts) == 1
    rng = np.random.default_rng(0)
    crop, _ = VideoFile(hd).cut(rng, 3, 720)
    assert any(
        np.array_equal(crop, upscaling[n : n + 3, :, x : x + 720])
        for n in range(6)
        for x in range(561)
    )


@pytest.mark.parametrize("name", ["interlaced.mpg", "ten_bit.mkv", "mirrored.mp4", "alpha.mov"])
def test_clips_of_awkward_files_equal_the_whole_file_s_frames(cases, name):
    whole = read_frames(cases / name)
    clip = np.stack(read_clip(cases / name, 0.0, len(whole)))
    assert np.array_equal(clip, whole)


def test_clips_that_cannot_be_cut_are_refused(cases):
    with pytest.raises(ValueError, match="smaller than the crop 100"):
        read_clip(cases / "plain.mp4", 0.5, 3, smallest=100)
    with pytest.raises(ValueError, match="ends 2 frames too early"):
        read_clip(cases / "plain.mp4", 0.0, 12)
    with pytest.raises(ValueError, match="changes its size"):
        read_clip(cases / "size_change.ts", 0.0, 15)
    with pytest.raises(ValueError, match="high dynamic range"):
        read_clip(cases / "hdr10.mkv", 0.0, 3)


def test_a_window_of_frames_reads_forward_only_what_is_asked_for(tmp_path):
    frames = smooth_frames(12, 32, 32)
    source = probe(make_video(tmp_path / "a.mkv", frames, range(12)))
    every = np.stack(list(source.stream()))
    window = FrameWindow(source)
    for first, last in ((0, 4), (2, 7), (7, 9), (10, 12)):
        assert np.array_equal(window.frames(first, last), every[first:last])


def test_a_folder_of_frames_is_a_video(tmp_path):
    for number, level in ((10, 30), (2, 20), (1, 10)):
        Image.new("RGB", (6, 4), (level,) * 3).save(tmp_path / f"f{number}.png")
    assert read_frames(tmp_path)[:, 0, 0, 0].tolist() == [10, 20, 30]
    Image.new("RGB", (5, 4)).save(tmp_path / "f11.png")
    with pytest.raises(ValueError, match=r"f11\.png is 5x4, but f1\.png is 6x4; the frames of a"):
        probe(tmp_path)
