"""Collections of clips: videos, folders of frames, WebVid's table, photographs, packed records.

A collection is a list of places that clips can be cut from. Cutting draws where to start and, for
photographs, how the camera moves, from the generator it is given and from nothing else.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from uav_jax.data.motion import CameraPath, camera_clip, random_path
from uav_jax.data.teacher_targets import find_shards
from uav_jax.data.unusable import UnusableClip, unusable_if_damaged
from uav_jax.data.variety import VarietyConfig, varied
from uav_jax.runtime.files import read_any_text
from uav_jax.video.color import to_8_bit
from uav_jax.video.containers import VIDEO_SUFFIXES, check_regular_file
from uav_jax.video.images import image_files, read_picture
from uav_jax.video.read import read_clip, stream_frames

HOLD_OUT = 16
"""Every so many-eth place by name is held out for validation."""


class Place(Protocol):
    """One video, folder or photograph."""

    @property
    def name(self) -> str:
        """What error messages call it."""
        ...

    def cut(self, rng: np.random.Generator, frames: int, crop: int) -> tuple[np.ndarray, str]:
        """A random clip, uint8 ``(frames, crop, crop, 3)``, and its caption.

        Raises ``UnusableClip``.
        """
        ...


def cropped(frames: Sequence[np.ndarray], rng: np.random.Generator, crop: int) -> np.ndarray:
    """The same random square of every frame, stacked."""
    H, W = frames[0].shape[:2]
    y, x = rng.integers(H - crop + 1), rng.integers(W - crop + 1)
    return np.stack([frame[y : y + crop, x : x + crop] for frame in frames])


def check_size(name: str, height: int, width: int, crop: int) -> None:
    """``UnusableClip`` where a frame is smaller than the crop."""
    if min(height, width) < crop:
        raise UnusableClip(f"{name} is {width}x{height}, smaller than the crop {crop}")


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video; its caption is given or lies beside it as ``.txt``."""

    path: Path
    caption: str | None = None

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def cut(self, rng: np.random.Generator, frames: int, crop: int) -> tuple[np.ndarray, str]:
        """See ``Place``: seeks to a random time and decodes from there."""
        with unusable_if_damaged(self.name):
            decoded = read_clip(self.path, rng.random(), frames, smallest=crop)
            check_size(self.name, decoded[0].shape[0], decoded[0].shape[1], crop)
            return cropped(decoded, rng, crop), self.text()

    def stream(self) -> Iterator[np.ndarray]:
        """Every frame, uint8 ``(H, W, 3)``. Raises ``UnusableClip`` where it is damaged."""
        with unusable_if_damaged(self.name):
            yield from stream_frames(self.path)

    def text(self) -> str:
        """The caption, empty if there is none."""
        if self.caption is not None:
            return self.caption
        beside = self.path.with_suffix(".txt")
        return read_any_text(beside).strip() if beside.is_file() else ""


def _frame(path: Path) -> np.ndarray:
    return to_8_bit(read_picture(path).opaque())


@dataclass(frozen=True, slots=True)
class FrameFolder:
    """A folder of images in natural order, as in YouHQ."""

    path: Path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def cut(self, rng: np.random.Generator, frames: int, crop: int) -> tuple[np.ndarray, str]:
        """See ``Place``."""
        with unusable_if_damaged(self.name):
            files = image_files(self.path)
            if len(files) < frames:
                raise UnusableClip(f"{self.path} holds {len(files)} images of {frames} needed")
            start = rng.integers(len(files) - frames + 1)
            images = [_frame(path) for path in files[start : start + frames]]
        if len({image.shape for image in images}) > 1:
            raise UnusableClip(f"{self.path} holds images of different sizes")
        height, width, _ = images[0].shape
        check_size(self.name, height, width, crop)
        return cropped(images, rng, crop), self.text()

    def stream(self) -> Iterator[np.ndarray]:
        """Every frame, uint8 ``(H, W, 3)``. Raises ``UnusableClip`` where one is damaged."""
        with unusable_if_damaged(self.name):
            for path in image_files(self.path):
                yield _frame(path)

    def text(self) -> str:
        """The caption: frames have none."""
        return ""


@dataclass(frozen=True, slots=True)
class Album:
    """Photographs (``.npy``, uint8 RGB) that a virtual camera moves over."""

    paths: tuple[Path, ...]
    variety: VarietyConfig | None = None

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.paths[0].parent)

    def cut(self, rng: np.random.Generator, frames: int, crop: int) -> tuple[np.ndarray, str]:
        """See ``Place``."""
        region, camera = self.view(rng, frames, crop)
        return camera_clip(region, camera, crop, crop, frames), ""

    def view(
        self, rng: np.random.Generator, frames: int, crop: int
    ) -> tuple[Image.Image, CameraPath]:
        """A part of a photograph, often the more detailed of two, and a path over it."""
        size = 2 * crop + 8 * frames
        regions = [self.region(rng, size) for _ in range(2)]
        often = self.variety.detailed_probability if self.variety else 0.75
        region = max(regions, key=_detail) if rng.random() < often else regions[0]
        if self.variety:
            region = varied(region, self.variety, rng)
        return region, random_path(rng, region, crop, crop, frames)

    def region(self, rng: np.random.Generator, size: int) -> Image.Image:
        """A random part of a photo, large enough for a clip, so that little is read from disk."""
        path = str(self.paths[rng.integers(len(self.paths))])
        with unusable_if_damaged(path, record=path):
            return self._part(_photo(path), rng, size)

    def _part(self, photo: np.ndarray, rng: np.random.Generator, size: int) -> Image.Image:
        factor = 1.0
        if self.variety:
            largest = min(self.variety.reduction, min(photo.shape[:2]) / size)
            factor = rng.uniform(1.0, max(largest, 1.0))
        H, W = (min(length, ceil(size * factor)) for length in photo.shape[:2])
        y = rng.integers(photo.shape[0] - H + 1)
        x = rng.integers(photo.shape[1] - W + 1)
        part = Image.fromarray(np.ascontiguousarray(photo[y : y + H, x : x + W]))
        reduced = (round(W / factor), round(H / factor))
        return part.resize(reduced, Image.Resampling.LANCZOS) if factor > 1 else part


@lru_cache(maxsize=512)
def _photo(path: str) -> np.ndarray:
    check_regular_file(Path(path))
    photo = np.load(path, mmap_mode="r")
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(f"{path} holds {photo.dtype} {photo.shape}; expected uint8 (H, W, 3)")
    return photo


def _detail(region: Image.Image) -> float:
    """Mean absolute difference of neighbouring pixels: sky has little, leaves have much."""
    grey = np.asarray(region.convert("L"), np.int16)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def videos(directory: Path) -> list[Place]:
    """Every video below a folder."""
    files = (p for p in directory.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    return [VideoFile(path) for path in sorted(files) if not path.name.startswith(".")]


def frame_folders(directory: Path) -> list[Place]:
    """Every folder below a folder that holds images itself."""
    folders = [p for p in [directory, *directory.rglob("*")] if p.is_dir()]
    return [FrameFolder(path) for path in sorted(folders) if image_files(path)]


def webvid(directory: Path) -> list[Place]:
    """WebVid: tables with the columns ``videoid`` and ``name`` (the caption) beside mp4 files.

    A video is ``<videoid>.mp4`` anywhere below the folder; rows without one are left out.
    """
    found = (path for path in directory.rglob("*.mp4") if not path.name.startswith("."))
    files = {path.stem: path for path in found}
    places: list[Place] = []
    for table in sorted(directory.rglob("*.csv")):
        try:
            places += _rows(table, files)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{table} cannot be read as a table: {error}") from error
    return places


def _rows(table: Path, files: dict[str, Path]) -> list[VideoFile]:
    """The videos of a table that are there, with their captions."""
    check_regular_file(table)
    with table.open(newline="") as lines:
        rows = csv.DictReader(lines)
        if not {"videoid", "name"} <= set(rows.fieldnames or ()):
            raise ValueError(
                f"{table} has the columns {', '.join(rows.fieldnames or ['none'])}; expected "
                "videoid and name"
            )
        found = [(files.get(row["videoid"]), row["name"] or "") for row in rows]
        return [VideoFile(path, caption) for path, caption in found if path]


def photos(directory: Path) -> list[Path]:
    """The photographs that ``python -m uav_jax.data.packages`` stored."""
    return sorted((directory / "photos").glob("*.npy"))


KINDS: dict[str, Callable[[Path], list]] = {
    "photos": photos,
    "videos": videos,
    "frames": frame_folders,
    "webvid": webvid,
    "flow": photos,
}


def places(
    kind: str, directory: str, *, validation: bool = False, variety: VarietyConfig | None = None
) -> list:
    """The places of a collection for training, or those held out; ``ValueError`` if none.

    ``variety`` is for photographs.
    """
    if kind == "tfds":
        from uav_jax.data.tfds.reader import packed_clips

        return packed_clips(Path(directory), "validation" if validation else "train")
    if kind == "teacher_targets":
        return [find_shards(Path(directory), "validation" if validation else "train")]
    if kind not in KINDS:
        raise ValueError(
            f"data kind {kind!r}; expected one of {', '.join(KINDS)}, tfds, teacher_targets"
        )
    found = KINDS[kind](Path(directory))
    chosen = [p for i, p in enumerate(found) if (i % HOLD_OUT == HOLD_OUT // 2 - 1) == validation]
    if not chosen:
        hint = (
            f"; run: python -m uav_jax.data.packages {directory}" if KINDS[kind] is photos else ""
        )
        held_out = " held out" if validation else ""
        raise ValueError(f"no {kind}{held_out} in {directory}{hint}")
    return [Album(tuple(chosen), variety)] if KINDS[kind] is photos else chosen
