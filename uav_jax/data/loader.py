"""Batches of training pairs. A record depends only on (seed, index), never on order or workers."""

import atexit
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import grain
import numpy as np
from absl import flags

from uav_jax.data.clips import Place, places
from uav_jax.data.degradation import DegradationConfig, degrade, degrade_target
from uav_jax.data.flow import moving_pair
from uav_jax.data.phrases import NOT_OF_DAMAGE, draw_phrases, prompt_of
from uav_jax.data.teacher_targets import undamaged
from uav_jax.data.unusable import Unusable, UnusableClip, unusable_if_damaged
from uav_jax.data.variety import VarietyConfig

MOST_ATTEMPTS = 1000
"""Unusable clips in a row after which a batch is given up."""

Made = TypeVar("Made")
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
    undamaged_probability: float = 0.0  # of teacher targets: the truth reduced, with itself as the
    # teacher's result
    plain_probability: float = 0.4  # of teacher targets without any phrase
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
        if self.undamaged_probability and self.kind != "teacher_targets":
            raise ValueError(
                f"undamaged_probability {self.undamaged_probability} is for kind teacher_targets; "
                f"kind {self.kind} has degradation.clean_probability"
            )
        if self.lead < 0:
            raise ValueError(f"lead {self.lead} is negative")
        if self.workers < 0:
            raise ValueError(f"workers {self.workers} is negative")


def make_record(
    config: DataConfig, collection: list[Place], index: int, unusable: Unusable
) -> dict[str, np.ndarray | str]:
    """Record ``index``: ``target`` (T, H, W, 3), ``low_quality`` (T, H/4, W/4, 3), ``prompt``.

    Of kind ``flow``: ``target`` (2, H, W, 3) and ``flow`` (H, W, 2) between the two frames. Of kind
    ``teacher_targets`` also the other arrays of ``uav_jax.data.teacher_targets``, and ``phrases``
    (4,), which make the prompt, see ``uav_jax.data.phrases``.
    """
    rng = np.random.default_rng((config.seed, index))
    if config.kind == "flow":
        (album,) = collection

        def pair():
            return moving_pair(album, rng, config.crop)  # pyright: ignore

        frames, flow = _usable(album, unusable, _records(collection), pair)
        return {"target": frames, "flow": flow, "prompt": "", "index": np.array(index)}
    if config.kind == "teacher_targets":
        (shards,) = collection

        def cut():
            return shards.record(rng, config.frames, config.crop)  # pyright: ignore

        made = _usable(shards, unusable, _records(collection), cut)
        phrases = draw_phrases(rng, config.plain_probability)
        if rng.random() < config.undamaged_probability:
            made, phrases = undamaged(made), phrases * NOT_OF_DAMAGE
        return {**made, "phrases": phrases, "prompt": prompt_of(phrases), "index": np.array(index)}
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
    for _ in range(MOST_ATTEMPTS):
        place = collection[rng.integers(len(collection))]
        try:
            with unusable_if_damaged(place.name):
                return place.cut(rng, lead + config.frames, config.crop)
        except UnusableClip as error:
            unusable.report(place.name, error, _records(collection))
    raise ValueError(f"{MOST_ATTEMPTS} clips in a row could not be used; see the warnings above")


def _usable(place: Place, unusable: Unusable, records: int, make: Callable[[], Made]) -> Made:
    """What ``make`` gives of the first record of a place that is usable."""
    for _ in range(MOST_ATTEMPTS):
        try:
            return make()
        except UnusableClip as error:
            unusable.report(place.name, error, records)
    raise ValueError(f"{MOST_ATTEMPTS} records in a row could not be used; see the warnings above")


def _records(collection: list[Place]) -> int:
    """How many files there are: albums and shards are one place of many."""
    return sum(len(getattr(place, "paths", (place,))) for place in collection)


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
