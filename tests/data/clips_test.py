"""Collections of clips: what is found, what is cut, and what is refused."""

import av
import numpy as np
import pytest
from PIL import Image

from uav_jax.data import clips


def write_video(path, frames=20, height=64, width=96):
    """Frame t is grey 10 t, so that a clip tells which frames it holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "5", "g": "6"}
        for t in range(frames):
            image = np.full((height, width, 3), 10 * t, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def cut(place, seed=0, frames=4, crop=32):
    return place.cut(np.random.default_rng(seed), frames, crop)


def test_a_video_is_cut_at_any_time_in_neighbouring_frames(tmp_path):
    write_video(tmp_path / "a" / "clip.mp4")
    (tmp_path / "a" / "clip.txt").write_text("a grey field, \n")
    (place,) = clips.videos(tmp_path)
    starts = set()
    for seed in range(30):
        clip, caption = cut(place, seed)
        levels = clip.mean((1, 2, 3)) / 10
        np.testing.assert_allclose(np.diff(levels), 1, atol=0.2)
        starts.add(round(levels[0]))
        assert clip.shape == (4, 32, 32, 3) and caption == "a grey field,"
    assert len(starts) > 8 and max(starts) <= 16
    np.testing.assert_array_equal(cut(place, 5)[0], cut(place, 5)[0])


def test_frame_folders_are_found_at_any_depth(tmp_path):
    for name in ("city/001", "city/002", "sea/001"):
        (tmp_path / name).mkdir(parents=True)
        for t in range(6):
            Image.new("RGB", (50, 40), (t * 20, 0, 0)).save(tmp_path / name / f"{t}.png")
    found = clips.frame_folders(tmp_path)
    assert [p.path.relative_to(tmp_path).as_posix() for p in found] == [
        "city/001",
        "city/002",
        "sea/001",
    ]
    clip, caption = cut(found[0])
    np.testing.assert_array_equal(np.diff(clip[:, 0, 0, 0].astype(int)), 20)
    assert caption == ""


def test_webvid_rows_are_matched_with_their_files(tmp_path):
    write_video(tmp_path / "videos" / "1001.mp4")
    rows = 'videoid,name,page_dir\n1001,"Waves, slow",a\n1002,Missing,b\n'
    (tmp_path / "results.csv").write_text(rows)
    (place,) = clips.webvid(tmp_path)
    assert cut(place)[1] == "Waves, slow"
    (tmp_path / "other.csv").write_text("id,caption\n1,x\n")
    with pytest.raises(
        ValueError, match=r"other.csv has the columns id, caption; expected videoid"
    ):
        clips.webvid(tmp_path)


def test_unusable_clips_say_why(tmp_path):
    write_video(tmp_path / "short.mp4", frames=3)
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (50, 40)).save(tmp_path / "frames" / "1.png")
    short, broken = (
        clips.VideoFile(tmp_path / "short.mp4"),
        clips.VideoFile(tmp_path / "broken.mp4"),
    )
    for place, message in (
        (short, "ends 1 frames too early"),
        (broken, "cannot be read as a video"),
        (clips.FrameFolder(tmp_path / "frames"), "holds 1 images of 4 needed"),
    ):
        with pytest.raises(clips.UnusableClip, match=message):
            cut(place)
    with pytest.raises(clips.UnusableClip, match="is 96x64, smaller than the crop 128"):
        cut(short, crop=128)


def test_places_are_split_and_never_empty(tmp_path):
    for i in range(17):
        write_video(tmp_path / f"{i:02d}.mp4", frames=1)
    training = clips.places("videos", str(tmp_path))
    held_out = clips.places("videos", str(tmp_path), validation=True)
    assert len(training) == 16 and [p.path.name for p in held_out] == ["07.mp4"]
    with pytest.raises(ValueError, match="no frames in"):
        clips.places("frames", str(tmp_path))
    with pytest.raises(ValueError, match="data kind 'films'; expected one of photos, videos"):
        clips.places("films", str(tmp_path))
