"""Distillation records: degraded clips with the truth and a teacher's result, in NumPy shards.

A shard ``SPLIT-NNNNN.npz`` holds arrays whose first axis is the record:

    low_quality  uint8    (N, T, h, w, 3)    degraded frames
    target       uint8    (N, T, 4h, 4w, 3)  the truth
    teacher      uint8    (N, T, 4h, 4w, 3)  the teacher's result on ``low_quality``
    drawing      uint8    (N, T, 4h, 4w, 3)  that of a teacher for drawings
    motion       float32  (N, T - 1, 2, 3)   affine maps, see ``CameraPath.motion``
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from uav_jax.data.degradation import resize
from uav_jax.data.unusable import unusable_if_damaged
from uav_jax.shapes import UPSCALE
from uav_jax.video.containers import check_regular_file

FRAMES = ("low_quality", "target", "teacher", "drawing")
ARRAYS = (*FRAMES, "motion")

Record = dict[str, np.ndarray]


@lru_cache(maxsize=512)
def _shard(path: Path) -> dict[str, np.ndarray]:
    check_regular_file(path)
    with path.open("rb") as opened, np.load(opened) as file:
        missing = [name for name in ARRAYS if name not in file]
        if missing:
            raise ValueError(
                f"{path} lacks {', '.join(missing)}; remove it and run make_targets again"
            )
        shard = {name: file[name] for name in ARRAYS}
    if len({len(values) for values in shard.values()}) > 1 or not len(shard["target"]):
        raise ValueError(f"{path} holds arrays of different lengths, or no record")
    return shard


@dataclass(frozen=True, slots=True)
class TeacherShards:
    """The shards of one split of a data set of teacher targets."""

    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.paths[0].parent)

    def record(self, rng: np.random.Generator, frames: int, crop: int) -> Record:
        """Cuts a random record out of a random shard, mirrored half of the time.

        Args:
            rng: Draws the shard, the record, the first frame, the square and the mirroring.
            frames: T of the result, at most that of the records.
            crop: Side of the high-resolution square, a multiple of 4.

        Returns:
            The arrays of one record, without the first axis.

        Raises:
            UnusableClip: The shard is damaged.
            ValueError: The records have fewer frames or are smaller than the crop.
        """
        path = self.paths[rng.integers(len(self.paths))]
        with unusable_if_damaged(str(path), record=str(path)):
            shard = _shard(path)
        index = rng.integers(len(shard["target"]))
        record = {name: shard[name][index] for name in ARRAYS}
        T, H, W, _ = record["target"].shape
        if frames > T or crop > min(H, W):
            raise ValueError(
                f"{self.name} has clips of {T} frames of {W}x{H}; {frames} frames of "
                f"{crop}x{crop} cannot be cut from them"
            )
        start = rng.integers(T - frames + 1)
        y, x = (UPSCALE * rng.integers((side - crop) // UPSCALE + 1) for side in (H, W))
        record = cropped(record, slice(start, start + frames), y, x, crop)
        return mirrored(record) if rng.random() < 0.5 else record


def cropped(record: Record, frames: slice, y: int, x: int, crop: int) -> Record:
    """The frames of a square whose top left is ``(y, x)``, multiples of 4."""
    cut = {}
    for name in FRAMES:
        factor = UPSCALE if name == "low_quality" else 1
        top, left, side = y // factor, x // factor, crop // factor
        cut[name] = record[name][frames, top : top + side, left : left + side]
    motion = record["motion"][frames.start : frames.stop - 1].copy()
    origin = np.array([x, y], np.float32)
    motion[..., 2] += motion[..., :2] @ origin - origin
    return cut | {"motion": motion}


def undamaged(record: Record) -> Record:
    """The truth reduced bicubically as input, and itself as the teacher's result."""
    h, w = record["low_quality"].shape[1:3]
    low_quality = resize(record["target"], w, h, Image.Resampling.BICUBIC)
    return {**record, "low_quality": low_quality, "teacher": record["target"]}


def mirrored(record: Record) -> Record:
    """Left and right exchanged, in the motion too."""
    width = record["target"].shape[2]
    turned = {n: v[:, :, ::-1] for n, v in record.items() if n != "motion"}
    mirror = np.array([[-1, 0, width], [0, 1, 0]], np.float32)
    motion = record["motion"]
    linear = mirror[:, :2] @ motion[..., :2]
    offset = linear @ mirror[:, 2] + motion[..., 2] @ mirror[:, :2].T + mirror[:, 2]
    motion = np.concatenate([linear @ mirror[:, :2], offset[..., None]], -1)
    return {n: np.ascontiguousarray(v) for n, v in turned.items()} | {"motion": motion}


def find_shards(directory: Path, split: str) -> TeacherShards:
    """The shards of ``split`` in a folder; ``ValueError`` if there are none."""
    paths = tuple(sorted(directory.glob(f"{split}-*.npz")))
    if not paths:
        raise ValueError(
            f"no {split}-*.npz in {directory}; run: python -m uav_jax.training.make_targets RECIPE"
        )
    return TeacherShards(paths)


def affine_flow(motion: np.ndarray, height: int, width: int) -> np.ndarray:
    """Optical flow ``(..., height, width, 2)`` in pixels of affine maps ``(..., 2, 3)``."""
    middles = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    change = motion[..., :2] - np.eye(2, dtype=motion.dtype)
    moved = np.einsum("...ij,hwj->...hwi", change, middles.astype(np.float32))
    return moved + motion[..., None, None, :, 2]
