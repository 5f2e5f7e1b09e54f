"""Folders of frames, and single pictures, as sources."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from uav_jax.video.color import to_8_bit
from uav_jax.video.containers import shown
from uav_jax.video.images import IMAGE_SUFFIXES, read_picture
from uav_jax.video.position import Part, Position
from uav_jax.video.scenes import ChangeMeter
from uav_jax.video.source import DEFAULT_RATE, ReadOptions, SourceInfo


def probe_images(
    path: Path, files: list[Path], options: ReadOptions, watch: Callable[[int], None]
) -> SourceInfo:
    """Reads the images of one video, or a single picture, through once.

    Args:
        path: The folder or picture.
        files: The images in order.
        options: How they are read.
        watch: Called with the number of images read so far.

    Raises:
        ValueError: There is none, one cannot be read, or their sizes differ.
    """
    if not files:
        raise ValueError(f"{shown(path)} holds no video and no image ({', '.join(IMAGE_SUFFIXES)})")
    rate = options.rate or DEFAULT_RATE
    chosen = _in_part(files, options.part, rate)
    if not chosen:
        raise ValueError(f"{shown(path)} has {len(files)} frames and none in the part asked for")
    meter, shape, bits, alpha, notes = ChangeMeter(), None, 8, False, []
    for number, file in enumerate(chosen):
        picture = read_picture(file, limits=options.limits)
        shape = shape or picture.pixels.shape[:2]
        if picture.pixels.shape[:2] != shape:
            sizes = ["x".join(map(str, s[1::-1])) for s in (picture.pixels.shape, shape)]
            raise ValueError(
                f"{shown(file)} is {sizes[0]}, but {chosen[0].name} is {sizes[1]}; the frames of a "
                "video have one size. For pictures that are not one video give --kind images"
            )
        bits = max(bits, 16 if picture.pixels.dtype == np.uint16 else 8)
        alpha = alpha or picture.has_alpha
        if picture.frames > 1:
            notes.append(f"{shown(file.name)} holds {picture.frames} pictures; the first is used")
        meter.add(to_8_bit(picture.opaque()))
        watch(number + 1)
    assert shape is not None
    return SourceInfo(
        path=path,
        kind="frames" if path.is_dir() else "image",
        height=shape[0],
        width=shape[1],
        pts=tuple(range(len(chosen))),
        durations=(1,) * len(chosen),
        time_base=1 / rate,
        rate=rate,
        options=options,
        bits=bits,
        alpha=alpha,
        changes=tuple(meter.changes),
        files=tuple(chosen),
        notes=tuple(notes),
    )


def _in_part(files: list[Path], part: Part, rate: Fraction) -> list[Path]:
    """The images of a part of the video."""

    def reached(position: Position | None, number: int, default: bool) -> bool:
        return default if position is None else position.reached(number, number / rate)

    return [
        file
        for number, file in enumerate(files)
        if reached(part.start, number, True) and not reached(part.stop, number, False)
    ]
