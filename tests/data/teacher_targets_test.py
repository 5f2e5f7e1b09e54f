"""Records of teacher targets: crops, mirroring and motion that stay true to one another."""

import numpy as np
import pytest
from PIL import Image

from uav_jax.data.clips import places
from uav_jax.data.loader import DataConfig, batches
from uav_jax.data.motion import CameraPath
from uav_jax.data.phrases import PHRASES
from uav_jax.data.teacher_targets import affine_flow, cropped, find_shards, mirrored

CAMERA = CameraPath(centre=(60, 50), velocity=(2.5, -1), angle=0.02, zoom=1.02, scale=0.9)
T, SIDE = 3, 32


@pytest.fixture(scope="module")
def record():
    """Frames of a smooth picture under a moving camera, and what moves where."""
    rows, columns = np.mgrid[:100, :120]
    ramp = np.stack([columns, rows, 0 * rows], -1)
    photo = Image.fromarray(ramp.astype(np.uint8) * 2)
    frames = np.stack([CAMERA.frame(photo, t, SIDE, SIDE) for t in range(T)])
    return {
        "low_quality": frames[:, ::4, ::4],
        "target": frames,
        "teacher": 255 - frames,
        "drawing": frames // 2,
        "motion": np.stack([CAMERA.motion(t, SIDE, SIDE) for t in range(T - 1)]),
    }


def follows_motion(record):
    """Largest difference between a frame's pixels and the next one's where they moved to."""
    worst = 0.0
    side = record["target"].shape[1]
    for t, flow in enumerate(affine_flow(record["motion"], side, side)):
        here, there = record["target"][t : t + 2].astype(float)
        rows, columns = np.mgrid[:side, :side]
        x, y = columns + flow[..., 0], rows + flow[..., 1]
        inside = (x > 1) & (x < side - 2) & (y > 1) & (y < side - 2)
        x, y = x[inside], y[inside]
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        u, v = (x - left)[:, None], (y - top)[:, None]
        value = (1 - v) * ((1 - u) * there[top, left] + u * there[top, left + 1])
        value += v * ((1 - u) * there[top + 1, left] + u * there[top + 1, left + 1])
        worst = max(worst, np.abs(value - here[inside]).max())
    return worst


def test_affine_motion_is_the_cameras_flow():
    flow = affine_flow(CAMERA.motion(1, 40, 30), 30, 40)
    np.testing.assert_allclose(flow, CAMERA.flow(1, 40, 30), atol=1e-4)


def test_motion_follows_the_picture_after_cropping_and_mirroring(record):
    cut = cropped(record, slice(1, 3), 8, 4, 16)
    assert cut["target"].shape == (2, 16, 16, 3) and cut["motion"].shape == (1, 2, 3)
    assert np.array_equal(cut["low_quality"], record["low_quality"][1:, 2:6, 1:5])
    for moving in (record, cut, mirrored(record), mirrored(cut)):
        assert follows_motion(moving) < 2.5
    still = np.float32([[[1, 0, 0], [0, 1, 0]]])
    assert follows_motion(cut | {"motion": still}) > 4
    twice = mirrored(mirrored(record))
    assert all(np.allclose(twice[name], record[name], atol=1e-4) for name in record)


@pytest.fixture
def folder(tmp_path, record):
    stacked = {name: np.stack([value] * 2) for name, value in record.items()}
    for split in ("train", "validation"):
        np.savez(tmp_path / f"{split}-00000.npz", **stacked)
    return tmp_path


def test_batches_hold_the_teachers_result(folder):
    config = DataConfig(
        kind="teacher_targets", directory=str(folder), batch_size=2, frames=2, crop=16
    )
    batch, again = (next(batches(config)) for _ in range(2))
    assert batch["teacher"].shape == batch["target"].shape == (2, 2, 16, 16, 3)
    assert batch["low_quality"].shape == (2, 2, 4, 4, 3) and batch["motion"].shape == (2, 1, 2, 3)
    assert np.array_equal(batch["teacher"], 255 - batch["target"])
    assert np.array_equal(batch["drawing"], batch["target"] // 2)
    assert batch["phrases"].shape == (2, len(PHRASES))
    assert all(np.array_equal(batch[name], again[name]) for name in batch)


def test_what_cannot_be_cut_is_said(folder, tmp_path):
    shards = find_shards(folder, "train")
    with pytest.raises(ValueError, match="clips of 3 frames of 32x32; 4 frames of 16x16"):
        shards.record(np.random.default_rng(0), 4, 16)
    with pytest.raises(ValueError, match="make_targets"):
        places("teacher_targets", str(tmp_path / "none"))
    np.savez(folder / "train-00000.npz", target=np.zeros(1))
    (folder / "other").mkdir()
    np.savez(folder / "other" / "train-00000.npz", target=np.zeros(1))
    with pytest.raises(ValueError, match="lacks low_quality, teacher, drawing, motion"):
        find_shards(folder / "other", "train").record(np.random.default_rng(0), 1, 16)


def test_undamaged_records_have_the_truth_as_their_result(folder):
    config = DataConfig(
        kind="teacher_targets",
        directory=str(folder),
        batch_size=2,
        frames=2,
        crop=16,
        undamaged_probability=1.0,
    )
    batch = next(batches(config))
    assert np.array_equal(batch["teacher"], batch["target"])
    assert not batch["phrases"][:, [0, 3]].any()  # drawing and film grain
    reduced = batch["target"].reshape(2, 2, 4, 4, 4, 4, 3).mean((3, 5))
    assert np.abs(batch["low_quality"] - reduced).max() < 6
