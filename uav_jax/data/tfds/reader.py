"""Reads packed clips at random positions, without TensorFlow."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from uav_jax.data.clips import Place, UnusableClip, check_size, cropped


@dataclass(frozen=True, slots=True)
class PackedClip:
    """One record of a dataset."""

    records: Sequence
    index: int
    origin: str

    @property
    def name(self) -> str:
        """The dataset and the record's number."""
        return f"{self.origin} record {self.index}"

    def cut(self, rng: np.random.Generator, frames: int, crop: int) -> tuple[np.ndarray, str]:
        """See ``Place``: decodes only the frames that it needs."""
        record = self.records[self.index]
        stored = record["frames"]
        if len(stored) < frames:
            raise UnusableClip(f"{self.name} holds {len(stored)} frames of {frames} needed")
        start = rng.integers(len(stored) - frames + 1)
        try:
            images = [
                np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                for data in stored[start : start + frames]
            ]
        except (UnidentifiedImageError, OSError) as error:
            raise UnusableClip(f"{self.name} cannot be read: {error}") from error
        height, width, _ = images[0].shape
        check_size(self.name, height, width, crop)
        return cropped(images, rng, crop), record["caption"].decode()


def packed_clips(directory: Path, split: str) -> list[Place]:
    """The clips of a split; ``ValueError`` if there is no such dataset or split."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.dataset_info import DatasetInfoFileError

    try:
        builder = tfds.builder_from_directory(directory)
    except (OSError, ValueError, DatasetInfoFileError) as error:
        raise ValueError(
            f"{directory} is no tensorflow-datasets folder with a dataset_info.json; "
            "python -m uav_jax.data.tfds makes one"
        ) from error
    if split not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise ValueError(f"{directory} has no split {split}; it has {known or 'none'}")
    records = builder.as_data_source(split)  # pyright: ignore
    return [PackedClip(records, i, f"{directory} {split}") for i in range(len(records))]
