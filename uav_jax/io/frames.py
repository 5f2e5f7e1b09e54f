"""Folders of images as clips, and frames as PNG files."""

import re
import shutil
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from uav_jax.io.video import DEFAULT_RATE, Clip

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def natural_order(path: Path) -> list:
    """Sorting key under which frame 2 comes before frame 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order."""
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((p for p in files if not p.name.startswith(".")), key=natural_order)


def to_rgb(image: Image.Image) -> Image.Image:
    """Grey, palette and 16-bit images as RGB; what is transparent is laid over black."""
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        values = np.asarray(image, np.float64) / 257
        image = Image.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")
    return image.convert("RGB")


def read_frame(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An image as RGB; ``ValueError`` if it cannot be read."""
    try:
        with Image.open(path) as image:
            return np.asarray(to_rgb(image))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def read_frames(folder: Path) -> Clip:
    """The images of a folder as a clip of 25 frames a second.

    Raises ``ValueError`` for a folder without images, unreadable images and differing sizes.
    """
    files = image_files(folder)
    if not files:
        raise ValueError(f"{folder} holds no video and no image ({', '.join(IMAGE_SUFFIXES)})")
    frames = []
    for path in files:
        frames.append(read_frame(path))
        if frames[-1].shape != frames[0].shape:
            sizes = ["x".join(map(str, f.shape[1::-1])) for f in (frames[-1], frames[0])]
            raise ValueError(
                f"{path} is {sizes[0]}, but {files[0].name} is {sizes[1]}; all frames of a folder "
                "must have one size"
            )
    count = len(frames)
    return Clip(
        frames=np.stack(frames),
        pts=list(range(count)),
        durations=[1] * count,
        time_base=1 / DEFAULT_RATE,
        rate=DEFAULT_RATE,
        source=folder,
    )


class FrameWriter:
    """Writes frames as ``0001.png``, ... into a folder that appears when ``close`` is called."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._temporary = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        self._next = 1

    def write(self, frames: UInt8[np.ndarray, "N H W 3"]) -> None:
        """The next frames."""
        for image in frames:
            Image.fromarray(image).save(self._temporary / f"{self._next:04d}.png", compress_level=3)
            self._next += 1

    def close(self) -> None:
        """Replaces the folder by the new frames."""
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._temporary.rename(self._folder)

    def abort(self) -> None:
        """Removes the unfinished frames."""
        shutil.rmtree(self._temporary, ignore_errors=True)
