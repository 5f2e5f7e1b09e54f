"""Reads packed clips at random positions, without TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uav_jax.data.clips import Place, check_size, cropped
from uav_jax.data.unusable import UnusableClip, unusable_if_damaged
from uav_jax.runtime.json_files import read_object
from uav_jax.video.color import to_8_bit
from uav_jax.video.containers import check_regular_file
from uav_jax.video.images import decode_picture

FEATURES = "features.json"

_MODULE = "tensorflow_datasets.core.features"
CLASSES = (
    f"{_MODULE}.features_dict.FeaturesDict",
    f"{_MODULE}.sequence_feature.Sequence",
    f"{_MODULE}.tensor_feature.Tensor",
    f"{_MODULE}.text_feature.Text",
)
"""What `builder` writes."""


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
        with unusable_if_damaged(self.name):
            record = self.records[self.index]
            stored = record["frames"]
            if len(stored) < frames:
                raise UnusableClip(f"{self.name} holds {len(stored)} frames of {frames} needed")
            start = rng.integers(len(stored) - frames + 1)
            images = [
                to_8_bit(decode_picture(data, self.name).opaque())
                for data in stored[start : start + frames]
            ]
            height, width, _ = images[0].shape
            check_size(self.name, height, width, crop)
            return cropped(images, rng, crop), record["caption"].decode(errors="replace")


def check_features(directory: Path) -> None:
    """Checks that a dataset's `features.json` names only the classes that `builder` uses.

    tensorflow-datasets imports the module of every class that it names, which is code of whoever
    wrote the file. FIFOs and devices are refused as well.

    Raises:
        ValueError: Another class is named, or a file is not a regular one.
    """
    for path in sorted(directory.iterdir()):
        if not path.is_dir():
            check_regular_file(path)
    values: list = [read_object(directory / FEATURES)] if (directory / FEATURES).exists() else []
    while values:
        value = values.pop()
        if isinstance(value, list):
            values += value
        if not isinstance(value, dict):
            continue
        for name in ("pythonClassName", "type"):
            if name in value and value[name] not in CLASSES:
                raise ValueError(
                    f"{directory / FEATURES} names {value[name]!r}; expected one of "
                    f"{', '.join(CLASSES)}"
                )
        values += value.values()


def packed_clips(directory: Path, split: str) -> list[Place]:
    """The clips of a split; ``ValueError`` if there is no such dataset or split."""
    import tensorflow_datasets as tfds

    if directory.is_dir():
        check_features(directory)
    try:
        builder = tfds.builder_from_directory(directory)
    except Exception as error:  # its parsers raise almost anything at damaged files
        raise ValueError(
            f"{directory} is no tensorflow-datasets folder with a dataset_info.json; "
            "python -m uav_jax.data.tfds makes one"
        ) from error
    if split not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise ValueError(f"{directory} has no split {split}; it has {known or 'none'}")
    records = builder.as_data_source(split)  # pyright: ignore
    return [PackedClip(records, i, f"{directory} {split}") for i in range(len(records))]
