"""Makes the data set that the video decoder is distilled from, with two teachers' results.

    python -m uav_jax.training.make_targets configs/default/image_targets.py

Each record is a clip of a virtual camera over a photograph, degraded, with the teachers' results on
every frame (``uav_jax.data.teacher_targets`` has the format). A shard depends only on the recipe
and its number and appears when it is complete: run the command again after an interruption.

A teacher that sees single frames flickers. Its results on a clip are made consistent along the
known motion: with w_ts the warp from frame s to frame t and m_ts 1 where it stays inside,

    y_t = (2 x_t + sum_s m_ts w_ts(x_s)) / (2 + sum_s m_ts),    s in {t - 1, t + 1}           (1)
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from rich.progress import track

from uav_jax.data.clips import Album, places
from uav_jax.data.degradation import DegradationConfig, degrade
from uav_jax.data.motion import camera_clip
from uav_jax.data.teacher_targets import Record, affine_flow
from uav_jax.data.variety import VarietyConfig
from uav_jax.evaluation.peers import load_peer
from uav_jax.motion.warp import warp
from uav_jax.recipes import load_recipe, override
from uav_jax.runtime.files import atomic_path

SPLITS = ("validation", "train")

Teacher = Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "H W 3"]]
Teachers = dict[str, Teacher]
"""Those of the arrays ``teacher`` and ``drawing``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetsConfig:
    """A data set of teacher targets."""

    photographs: str  # folder that ``python -m uav_jax.data.packages`` wrote
    out: str
    records: int
    validation_records: int
    shard_records: int = 16
    frames: int = 1
    lead: int = 0  # up to so many frames before a clip are degraded with it
    crop: int = 192  # high-resolution pixels, a multiple of 4
    teacher: str = "realesrgan-x4plus"  # a peer of ``evaluate.py``
    drawing_teacher: str = "realesrgan-x4plus-anime"
    seed: int = 0
    degradation: DegradationConfig = field(default_factory=DegradationConfig.mild)
    variety: VarietyConfig | None = None

    def __post_init__(self):
        if self.crop % 4:
            raise ValueError(f"crop {self.crop} is not a multiple of 4")
        for name in ("records", "validation_records"):
            if getattr(self, name) % self.shard_records:
                raise ValueError(
                    f"{name} {getattr(self, name)} is no multiple of shard_records "
                    f"{self.shard_records}"
                )


@jax.jit
def _neighbour(
    frame: Float[Array, "H W 3"], flow: Float[Array, "H W 2"]
) -> tuple[Float[Array, "H W 3"], Float[Array, "H W 1"]]:
    """A frame warped along ``flow``, and where that is inside of it."""
    inside = warp(jnp.ones((1, *frame.shape[:2], 1)), flow[None]) > 0.999
    return warp(frame[None], flow[None])[0], inside[0].astype(jnp.float32)


def inverse_motion(motion: Float[np.ndarray, "N 2 3"]) -> Float[np.ndarray, "N 2 3"]:
    """The affine maps back."""
    linear = np.linalg.inv(motion[..., :2])
    offset = -np.einsum("nij,nj->ni", linear, motion[..., 2])
    return np.concatenate([linear, offset[..., None]], -1)


def consistent(
    frames: UInt8[np.ndarray, "T H W 3"], motion: Float[np.ndarray, "N 2 3"]
) -> UInt8[np.ndarray, "T H W 3"]:
    """Equation (1): the mean of every frame and its neighbours along the known motion.

    Args:
        frames: The teacher's results.
        motion: Affine maps from each frame to the next, N = T - 1.
    """
    T, H, W, _ = frames.shape
    values = frames.astype(np.float32)
    forward, backward = (affine_flow(m, H, W) for m in (motion, inverse_motion(motion)))
    results = []
    for t in range(T):
        total, weight = 2 * values[t], np.full((H, W, 1), 2, np.float32)
        neighbours = [(t + 1, forward[t])] if t + 1 < T else []
        neighbours += [(t - 1, backward[t - 1])] if t else []
        for s, flow in neighbours:
            moved, inside = map(np.asarray, _neighbour(values[s], flow))
            total, weight = total + inside * moved, weight + inside
        results.append(total / weight)
    return np.clip(np.rint(np.stack(results)), 0, 255).astype(np.uint8)


def make_record(config: TargetsConfig, album: Album, index: int, teachers: Teachers) -> Record:
    """Record ``index``, which depends on the recipe alone."""
    rng = np.random.default_rng((config.seed, index))
    lead = int(rng.integers(config.lead + 1)) if config.lead else 0
    frames, crop = lead + config.frames, config.crop
    region, camera = album.view(rng, frames, crop)
    clip = camera_clip(region, camera, crop, crop, frames)
    low_quality = degrade(clip, config.degradation, rng)[lead:]
    results = {n: np.stack([f(frame) for frame in low_quality]) for n, f in teachers.items()}
    motion = np.zeros((0, 2, 3), np.float32)
    if config.frames > 1:
        motion = np.stack([camera.motion(t, crop, crop) for t in range(lead, frames - 1)])
        results = {name: consistent(made, motion) for name, made in results.items()}
    return {"low_quality": low_quality, "target": clip[lead:], **results, "motion": motion}


def make_shard(config: TargetsConfig, album: Album, first: int, path: Path, teachers: Teachers):
    """Writes records ``first`` and following; the file appears when it is complete."""
    indices = range(first, first + config.shard_records)
    records = [make_record(config, album, index, teachers) for index in indices]
    arrays: dict[str, Any] = {name: np.stack([r[name] for r in records]) for name in records[0]}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def make_targets(config: TargetsConfig, teachers: Teachers | None = None) -> list[Path]:
    """Makes every shard that is missing; returns the paths of all.

    Raises:
        ValueError: There are no photographs, or a teacher cannot be had.
    """
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    todo, paths = [], []
    for split, count in zip(SPLITS, (config.validation_records, config.records), strict=True):
        albums = partial(places, "photos", config.photographs, variety=config.variety)
        (album,) = albums(validation=split == "validation") if count else (None,)
        for number in range(count // config.shard_records):
            paths.append(out / f"{split}-{number:05d}.npz")
            if not paths[-1].is_file():
                todo.append((album, number * config.shard_records, paths[-1]))
    if todo:
        names = {"teacher": config.teacher, "drawing": config.drawing_teacher}
        teachers = teachers or {array: load_peer(name) for array, name in names.items()}
    for album, first, path in track(todo, "shards"):
        assert teachers is not None
        make_shard(config, album, first, path, teachers)
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: the recipe."""
    parser = argparse.ArgumentParser(description="Makes teacher targets for distillation.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    config = load_recipe(options.config)
    for assignment in options.set:
        config = override(config, assignment)
    print(f"{len(make_targets(config))} shards in {config.out}")


if __name__ == "__main__":
    main()
