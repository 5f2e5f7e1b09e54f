"""The data set of teacher targets: resumable, the same every time, consistent over time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.tiny import write_data
from uav_jax.data.degradation import DegradationConfig
from uav_jax.training.make_targets import TargetsConfig, consistent, make_targets


def enlarge(frame):
    return frame.repeat(4, 0).repeat(4, 1)


TEACHERS = {"teacher": enlarge, "drawing": lambda frame: enlarge(frame) // 2}


@pytest.fixture
def config(tmp_path):
    write_data(tmp_path)
    return TargetsConfig(
        photographs=str(tmp_path),
        out=str(tmp_path / "targets"),
        records=4,
        validation_records=2,
        shard_records=2,
        frames=2,
        lead=1,
        crop=32,
        degradation=DegradationConfig(clean_probability=1.0),
    )


def test_missing_shards_are_made_and_are_what_they_were(config):
    paths = make_targets(config, TEACHERS)
    assert [p.name for p in paths] == [
        "validation-00000.npz",
        "train-00000.npz",
        "train-00001.npz",
    ]
    first = dict(np.load(paths[1]))
    assert first["target"].shape == first["teacher"].shape == (2, 2, 32, 32, 3)
    drawn = np.stack([enlarge(frame) // 2 for frame in first["low_quality"][0]])
    assert np.array_equal(first["drawing"][0], consistent(drawn, first["motion"][0]))
    assert first["low_quality"].shape == (2, 2, 8, 8, 3) and first["motion"].shape == (2, 1, 2, 3)
    kept = paths[2].stat().st_mtime_ns
    paths[1].unlink()
    make_targets(config, TEACHERS)
    assert paths[2].stat().st_mtime_ns == kept
    assert all(np.array_equal(value, first[name]) for name, value in np.load(paths[1]).items())


def test_an_interrupted_shard_leaves_nothing_that_is_read(config):
    def fail(frame):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_targets(config, {"teacher": fail})
    assert not list(Path(config.out).glob("*.npz"))


def test_averaging_along_the_motion_takes_flicker_away():
    """Noise of three views of a moving ramp falls, and the ramp stays where it is."""
    rng = np.random.RandomState(0)
    shift = np.array([[[1, 0, -2.0], [0, 1, 0]]] * 2, np.float32)  # 2 pixels to the left a frame
    ramp = np.stack([np.tile(60 + 2 * (np.arange(32) + 2 * t), (32, 1)) for t in range(3)])
    noisy = ramp[..., None] + rng.normal(0, 8, (3, 32, 32, 3))
    made = consistent(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), shift)
    error = (made.astype(float) - ramp[..., None])[1, :, 4:-4]
    assert abs(error.mean()) < 0.5
    assert error.std() < 0.7 * 8


@pytest.mark.parametrize(
    "change, message",
    [(dict(crop=30), "crop 30"), (dict(records=3), "no multiple of shard_records 2")],
)
def test_sizes_are_checked(config, change, message):
    with pytest.raises(ValueError, match=message):
        replace(config, **change)
