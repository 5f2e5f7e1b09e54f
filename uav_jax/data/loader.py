"""Batches of training pairs. A record depends only on (seed, index), never on order or workers."""

import atexit
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock

import grain
import numpy as np
from absl import flags

from uav_jax.data.clips import Place, UnusableClip, places
from uav_jax.data.degradation import DegradationConfig, degrade, degrade_target
from uav_jax.data.flow import moving_pair
from uav_jax.data.variety import VarietyConfig

Tokenize = Callable[[str], np.ndarray]
"""A prompt to its token ids ``(77,)`` int32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """What a batch is made of."""

    directory: str
    kind: str = "photos"  # or "videos", "frames", "webvid", "tfds"; "flow": pairs with their flow;
    # "teacher_targets": shards of ``uav_jax.data.teacher_targets``
    batch_size: int  # over all hosts
    frames: int = 1
    lead: int = 0  # up to so many frames before a clip are degraded with it: a video's first frames
    # are coded better than what follows
    crop: int = 128  # high-resolution pixels, a multiple of 4
    low_quality: bool = True  # whether degraded frames are needed at all
    added_prompt: str = "best quality, extremely detailed"  # behind every caption
    negative_prompt: str = "blur, worst quality"
    negative_probability: float = 0.0  # degraded targets under the negative prompt
    empty_probability: float = 0.0  # dropped prompt
    validation: bool = False  # what is held out instead of the rest
    max_unusable: int = 100  # damaged or too small clips that are passed over before giving up
    workers: int = 0  # processes of a host that make batches; 0: a thread of the main one
    seed: int = 0
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    variety: VarietyConfig | None = None  # changes of photographs; None: as they are

    def __post_init__(self):
        if self.crop % 4:
            raise ValueError(f"crop {self.crop} is not a multiple of 4")
        if self.lead < 0:
            raise ValueError(f"lead {self.lead} is negative")
        if self.workers < 0:
            raise ValueError(f"workers {self.workers} is negative")


class Unusable:
    """Clips that were passed over: each is named once, and too many stop the run."""

    def __init__(self, limit: int):
        self._limit, self._names, self._lock = limit, set(), Lock()

    def __reduce__(self):
        return Unusable, (self._limit,)  # every worker process counts for itself

    def report(self, name: str, error: UnusableClip, clips: int) -> None:
        """Notes one; ``ValueError`` beyond the limit, or when none of ``clips`` is left."""
        with self._lock:
            if name in self._names:
                return
            self._names.add(name)
            count = len(self._names)
        logging.getLogger(__name__).warning("passed over (%d so far): %s", count, error)
        if count > self._limit:
            raise ValueError(f"{count} clips could not be used, more than {self._limit}: {error}")
        if count == clips:
            raise ValueError(f"none of {clips} clips can be used, the last because: {error}")


def make_record(
    config: DataConfig, collection: list[Place], index: int, unusable: Unusable
) -> dict[str, np.ndarray | str]:
    """Record ``index``: ``target`` (T, H, W, 3), ``low_quality`` (T, H/4, W/4, 3), ``prompt``.

    Of kind ``flow``: ``target`` (2, H, W, 3) and ``flow`` (H, W, 2) between the two frames. Of kind
    ``teacher_targets`` also ``teacher`` and ``motion``, see ``uav_jax.data.teacher_targets``.
    """
    rng = np.random.default_rng((config.seed, index))
    if config.kind == "flow":
        (album,) = collection
        frames, flow = moving_pair(album, rng, config.crop)  # pyright: ignore
        return {"target": frames, "flow": flow, "prompt": "", "index": np.array(index)}
    if config.kind == "teacher_targets":
        (shards,) = collection
        made = shards.record(rng, config.frames, config.crop)  # pyright: ignore
        prompt = "" if rng.random() < config.empty_probability else config.added_prompt
        return {**made, "prompt": prompt, "index": np.array(index)}
    lead = int(rng.integers(config.lead + 1)) if config.lead else 0
    clip, caption = _usable_clip(config, collection, rng, unusable, lead)
    if rng.random() < 0.5:
        clip = np.ascontiguousarray(clip[:, :, ::-1])
    draw = rng.random()
    target, prompt = clip[lead:], caption + config.added_prompt
    if draw < config.negative_probability:
        target, prompt = degrade_target(target, rng), config.negative_prompt
    elif draw < config.negative_probability + config.empty_probability:
        prompt = ""
    record = {"target": target, "prompt": prompt, "index": np.int64(index)}
    if config.low_quality:
        record["low_quality"] = degrade(clip, config.degradation, rng)[lead:]
    return record


def _usable_clip(
    config: DataConfig,
    collection: list[Place],
    rng: np.random.Generator,
    unusable: Unusable,
    lead: int,
) -> tuple[np.ndarray, str]:
    while True:
        place = collection[rng.integers(len(collection))]
        try:
            return place.cut(rng, lead + config.frames, config.crop)
        except UnusableClip as error:
            unusable.report(place.name, error, len(collection))


def _copied(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Out of the memory shared with a worker, which is freed with the process."""
    return {name: np.array(value) for name, value in batch.items()}


def batches(
    config: DataConfig,
    tokenize: Tokenize | None = None,
    *,
    start: int = 0,
    share: tuple[int, int] = (0, 1),
) -> Iterator[dict[str, np.ndarray]]:
    """Endless batches from batch ``start`` on, made ahead in a thread or in worker processes.

    ``tokenize`` turns prompts into ``tokens`` (B, 77); without it they are left out. ``share``
    (i, n) makes part i of n of every batch, which is what one host of several reads.
    ``ValueError`` where there is nothing to read.
    """
    collection = places(
        config.kind, config.directory, validation=config.validation, variety=config.variety
    )
    unusable = Unusable(config.max_unusable)
    part, parts = share
    size = config.batch_size // parts

    def record(index: int) -> dict[str, np.ndarray]:
        made = make_record(config, collection, index, unusable)
        prompt = made.pop("prompt")
        return {**made, "tokens": tokenize(prompt)} if tokenize else made  # pyright: ignore

    def batch(number: int) -> dict[str, np.ndarray]:
        first = number * config.batch_size + part * size
        records = [record(index) for index in range(first, first + size)]
        return {name: np.stack([r[name] for r in records]) for name in records[0]}

    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    made = grain.MapDataset.range(start, 2**40).map(batch).to_iter_dataset(options)
    if not config.workers:
        return iter(made)
    flags.FLAGS.mark_as_parsed()  # Grain's workers read absl's flags, which nobody parses here
    options = grain.MultiprocessingOptions(num_workers=config.workers)
    shared = iter(made.mp_prefetch(options))
    atexit.register(shared.close)
    return map(_copied, shared)
