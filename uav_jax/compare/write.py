"""Reads a source and its result side by side, and writes what shows the difference."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from uav_jax.compare.page import render
from uav_jax.runtime.files import partial_path, remove_own_file, write_text
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.color import to_8_bit
from uav_jax.video.containers import shown
from uav_jax.video.limits import NO_LIMITS
from uav_jax.video.mux import join
from uav_jax.video.probe import probe
from uav_jax.video.source import ReadOptions, SourceInfo
from uav_jax.video.write import SegmentFormat, encode_segment

SHOWN = 6
"""Frames on the page, evenly spread."""


def enlarged(frame: UInt8[np.ndarray, "h w 3"], height: int, width: int) -> np.ndarray:
    """Returns the input at the result's size, by Pillow's bicubic filter."""
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def split(before: np.ndarray, after: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Returns the left half of before, the right half of after, a white line between them."""
    out, middle = before.copy(), before.shape[1] // 2
    out[:, middle:] = after[:, middle:]
    out[:, middle - 1 : middle + 1] = 255
    return out


def compare(
    source: SourceInfo, result: Path, record: dict, targets: tuple[Path, ...]
) -> tuple[Path, ...]:
    """Writes a page with a slider and, for videos, a split-screen video.

    Args:
        source: What was upscaled.
        result: What came of it.
        record: What the result was made with.
        targets: The page, and the video where there is one; they are replaced.

    Returns:
        `targets`.

    Raises:
        ValueError: Source and result do not have the same number of frames.
    """
    made = probe(result, ReadOptions(hdr="keep", rate=source.rate, limits=NO_LIMITS))
    if made.frames != source.frames:
        raise ValueError(f"{shown(result)} has {made.frames} frames, its source {source.frames}")
    numbers = {round(n) for n in np.linspace(0, made.frames - 1, min(SHOWN, made.frames))}
    pairs, rows = {}, ([], [])

    def frames() -> Iterator[np.ndarray]:
        for number, (low, high) in enumerate(zip(source.stream(), made.stream(), strict=True)):
            after = to_8_bit(high)
            before = enlarged(to_8_bit(low), made.height, made.width)
            for kept, frame in zip(rows, (before, after), strict=True):
                kept.append(frame[made.height // 2])
            if number in numbers:
                pairs[number] = before, after
            yield split(before, after)

    page, *video = targets
    if video:
        _write_video(video[0], frames(), source, made)
    else:
        for _ in frames():
            pass
    flat = {k: v if isinstance(v, str) else json.dumps(v) for k, v in record.items()}
    title = f"{shown(source.path.name)}: before and after"
    write_text(page, render(title, pairs, rows, flat))
    return targets


def _write_video(path: Path, frames: Iterator[np.ndarray], source: SourceInfo, made) -> None:
    """The split-screen video with the source's times and sound."""
    form = SegmentFormat(
        output=OutputFormat(codec="h264" if path.suffix == ".mp4" else "ffv1"),
        rate=source.rate,
        sample_aspect_ratio=source.sample_aspect_ratio,
    )
    segment = partial_path(path.with_suffix(".segment"))
    try:
        encode_segment(segment, frames, form)
        join(path, [segment], source, form)
    finally:
        remove_own_file(segment)
