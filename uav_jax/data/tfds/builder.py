"""Packs a collection of videos and captions as a tensorflow-datasets dataset (ArrayRecord).

Neither writing nor reading needs TensorFlow. Clips of one video never land on both sides of the
split; damaged videos are passed over and named.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from uav_jax.data.clips import FrameFolder, UnusableClip, VideoFile, places

STREAMED = ("videos", "frames", "webvid")
"""Kinds of collections that hold whole clips."""


@dataclass
class ClipsConfig(tfds.core.BuilderConfig):
    """What is packed, and how."""

    kind: str = "videos"
    directory: str = ""
    frames: int = 16  # of a clip
    shortest: int | None = None  # pixels of the shorter side; None: as it is

    def __post_init__(self):
        if self.kind not in STREAMED:
            raise ValueError(f"kind {self.kind!r}; expected one of {', '.join(STREAMED)}")
        if self.frames < 1:
            raise ValueError(f"frames {self.frames} is not positive")


class Clips(tfds.core.GeneratorBasedBuilder):
    """Records of ``frames`` (PNG), ``caption`` and ``source``."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                # PNG files as bytes: the reader decodes those that it needs.
                "frames": tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=np.str_)),
                "caption": tfds.features.Text(),
                "source": tfds.features.Text(),
            }
        )
        return self.dataset_info_from_configs(features=features)

    def _split_generators(self, dl_manager) -> dict:
        del dl_manager
        config: ClipsConfig = self.builder_config  # pyright: ignore
        splits = {}
        for split in ("train", "validation"):
            try:
                found = places(config.kind, config.directory, validation=split == "validation")
            except ValueError:
                if split == "train":
                    raise
                continue  # too few videos to hold any out
            splits[split] = self._generate_examples(found)
        return splits

    def _generate_examples(self, found: Sequence) -> Iterator[tuple[str, dict]]:
        config: ClipsConfig = self.builder_config  # pyright: ignore
        for number, place in enumerate(found):
            try:
                for part, clip in enumerate(consecutive(place, config.frames)):
                    frames = [encoded(frame, config.shortest) for frame in clip]
                    record = {"frames": frames, "caption": place.text(), "source": place.name}
                    yield f"{number:08d}_{part:06d}", record
            except UnusableClip as error:
                logging.getLogger(__name__).warning("passed over: %s", error)


def consecutive(place: VideoFile | FrameFolder, count: int) -> Iterator[list[np.ndarray]]:
    """A video's frames in runs of ``count``; what is left at the end is dropped."""
    run: list[np.ndarray] = []
    for frame in place.stream():
        run.append(frame)
        if len(run) == count:
            yield run
            run = []


def encoded(frame: np.ndarray, shortest: int | None) -> bytes:
    """A frame as PNG, reduced so that its shorter side has ``shortest`` pixels."""
    image = Image.fromarray(frame)
    if shortest is not None and min(image.size) > shortest:
        scale = shortest / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BOX)
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=3)
    return data.getvalue()


def build(config: ClipsConfig, out: Path) -> Path:
    """Writes the dataset; returns its folder. ``ValueError`` without a usable clip."""
    builder = Clips(config=config, data_dir=str(out), file_format="array_record")
    folder = Path(builder.data_dir)
    if folder.exists():
        raise ValueError(f"{folder} exists; remove it or give another folder")
    found = places(config.kind, config.directory)
    try:
        builder.download_and_prepare()
    except AssertionError as error:  # tfds: no example was yielded for a split
        raise ValueError(
            f"none of {len(found)} videos in {config.directory} has {config.frames} frames"
        ) from error
    return folder
