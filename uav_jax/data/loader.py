"""Batches of training pairs. A record depends only on (seed, index), never on order or workers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import grain
import numpy as np
from PIL import Image

from uav_jax.data.degradation import DegradationConfig, degrade, degrade_target
from uav_jax.data.motion import camera_clip, random_path

POSITIVE, NEGATIVE, EMPTY = 0, 1, 2
"""Which prompt a record is trained with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """What a batch is made of."""

    directory: str  # folder written by ``python -m uav_jax.data.packages``
    batch_size: int
    frames: int = 1
    crop: int = 128  # high-resolution pixels, a multiple of 4
    low_quality: bool = True  # whether degraded frames are needed at all
    negative_probability: float = 0.0  # degraded targets under the negative prompt
    empty_probability: float = 0.0  # dropped prompt
    validation: bool = False  # the held-out photos instead of the others
    seed: int = 0
    degradation: DegradationConfig = field(default_factory=DegradationConfig)

    def __post_init__(self):
        if self.crop % 4:
            raise ValueError(f"crop {self.crop} is not a multiple of 4")


def photo_files(directory: str, *, validation: bool = False) -> list[str]:
    """The training photos, or the held-out ones (every 16th by name); ``ValueError`` if none."""
    files = sorted(str(p) for p in Path(directory, "photos").glob("*.npy"))
    chosen = [f for i, f in enumerate(files) if (i % 16 == 7) == validation]
    if not chosen:
        raise ValueError(
            f"no photos in {directory}/photos; run: python -m uav_jax.data.packages {directory}"
        )
    return chosen


@lru_cache(maxsize=512)
def _photo(path: str) -> np.ndarray:
    return np.load(path, mmap_mode="r")


def _photo_region(path: str, rng: np.random.Generator, size: int) -> Image.Image:
    """A random part of a photo, large enough for a clip, so that little is read from disk."""
    photo = _photo(path)
    H, W = min(photo.shape[0], size), min(photo.shape[1], size)
    y = rng.integers(photo.shape[0] - H + 1)
    x = rng.integers(photo.shape[1] - W + 1)
    return Image.fromarray(np.ascontiguousarray(photo[y : y + H, x : x + W]))


def _detail(region: Image.Image) -> float:
    """Mean absolute difference of neighbouring pixels: sky has little, leaves have much."""
    grey = np.asarray(region.convert("L"), np.int16)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def make_record(config: DataConfig, files: list[str], index: int) -> dict[str, np.ndarray]:
    """Record ``index``: ``target`` (T, H, W, 3), ``low_quality`` (T, H/4, W/4, 3), ``prompt``."""
    rng = np.random.default_rng((config.seed, index))
    size = 2 * config.crop + 8 * config.frames
    regions = [_photo_region(files[rng.integers(len(files))], rng, size) for _ in range(2)]
    region = max(regions, key=_detail) if rng.random() < 0.75 else regions[0]
    camera = random_path(rng, region, config.crop, config.crop, config.frames)
    clip = camera_clip(region, camera, config.crop, config.crop, config.frames)
    if rng.random() < 0.5:
        clip = np.ascontiguousarray(clip[:, :, ::-1])
    draw = rng.random()
    prompt = POSITIVE
    target = clip
    if draw < config.negative_probability:
        prompt, target = NEGATIVE, degrade_target(clip, rng)
    elif draw < config.negative_probability + config.empty_probability:
        prompt = EMPTY
    record = {"target": target, "prompt": np.int32(prompt), "index": np.int64(index)}
    if config.low_quality:
        record["low_quality"] = degrade(clip, config.degradation, rng)
    return record


def batches(
    config: DataConfig, *, start: int = 0, share: tuple[int, int] = (0, 1)
) -> Iterator[dict[str, np.ndarray]]:
    """Endless batches from batch ``start`` on, made ahead in a thread.

    ``share`` (i, n) makes part i of n of every batch, which is what one host of several reads.
    """
    files = photo_files(config.directory, validation=config.validation)
    part, parts = share
    size = config.batch_size // parts

    def record(number: int) -> dict[str, np.ndarray]:
        batch, place = divmod(number, size)
        return make_record(config, files, batch * config.batch_size + part * size + place)

    records = grain.MapDataset.range(start * size, 2**40).map(record)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2 * size)
    return iter(records.to_iter_dataset(options).batch(size))
