"""Packed clips: a small dataset that the builder wrote is read without TensorFlow.

``packed`` holds clips of 6 frames from nine videos of 13 frames, one of them damaged, one held out;
frame t of a video is grey 10 t.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data.clips_test import write_video
from uav_jax.data.clips import UnusableClip, places
from uav_jax.data.loader import DataConfig, batches

PACKED = str(Path(__file__).parent / "packed")


def test_every_clip_of_a_split_is_there_with_its_caption():
    found = places("tfds", PACKED)
    assert len(found) == 14, "seven whole videos, two clips each"
    captions, starts = set(), set()
    for seed, place in enumerate(found * 8):
        clip, caption = place.cut(np.random.default_rng(seed), 3, 32)
        levels = clip.mean((1, 2, 3)) / 10
        assert clip.shape == (3, 32, 32, 3)
        np.testing.assert_allclose(np.diff(levels), 1, atol=0.2)
        captions.add(caption)
        starts.add(round(levels[0]))
    assert captions == {f"clip {i}, grey" for i in (0, 1, 2, 3, 5, 6, 8)}
    assert starts == {0, 1, 2, 3, 6, 7, 8, 9}


def test_held_out_clips_are_the_validation_split():
    found = places("tfds", PACKED, validation=True)
    captions = {place.cut(np.random.default_rng(0), 2, 32)[1] for place in found}
    assert (len(found), captions) == (2, {"clip 7, grey"})


def test_batches_are_made_of_packed_clips():
    config = DataConfig(directory=PACKED, kind="tfds", batch_size=2, frames=2, crop=32)
    batch = next(batches(config, start=3))
    assert batch["target"].shape == (2, 2, 32, 32, 3)
    assert batch["low_quality"].shape == (2, 2, 8, 8, 3)


def test_too_short_and_too_small_records_are_unusable():
    place = places("tfds", PACKED)[3]
    with pytest.raises(UnusableClip, match="record 3 holds 6 frames of 7 needed"):
        place.cut(np.random.default_rng(0), 7, 32)
    with pytest.raises(UnusableClip, match="record 3 is 53x40, smaller than the crop 64"):
        place.cut(np.random.default_rng(0), 2, 64)


def test_a_folder_that_is_no_dataset_says_how_to_make_one(tmp_path):
    with pytest.raises(ValueError, match=r"no tensorflow-datasets folder .* uav_jax.data.tfds"):
        places("tfds", str(tmp_path))


def test_what_the_builder_writes_is_read_again(tmp_path, capsys):
    from uav_jax.data.tfds.__main__ import main

    for i in range(9):
        write_video(tmp_path / "videos" / f"{i}.mp4", frames=13)
    assert main(["videos", str(tmp_path / "videos"), str(tmp_path / "out"), "--frames", "6"]) == 0
    folder = tmp_path / "out" / "clips" / "videos" / "1.0.0"
    assert len(places("tfds", str(folder))) == 16
    assert main(["videos", str(tmp_path / "videos"), str(tmp_path / "out"), "--frames", "6"]) == 2
    assert "exists; remove it" in capsys.readouterr().err
    assert "tensorflow" not in sys.modules


def test_mistakes_of_the_builder_are_one_line(tmp_path, capsys):
    from uav_jax.data.tfds.__main__ import main

    assert main(["videos", str(tmp_path), str(tmp_path / "out"), "--frames", "0"]) == 2
    assert "frames 0 is not positive" in capsys.readouterr().err
    assert main(["videos", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "no videos in" in capsys.readouterr().err
    write_video(tmp_path / "a.mp4", frames=3)
    assert main(["videos", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "none of 1 videos" in capsys.readouterr().err
