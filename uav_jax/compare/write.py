"""Reads a source and its result side by side, and writes what shows the difference."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from uav_jax.compare.page import render
from uav_jax.io.encode import OutputFormat, encode_segment, join
from uav_jax.io.source import SourceInfo, scan

SHOWN = 6
"""Frames on the page, evenly spread."""


def enlarged(frame: UInt8[np.ndarray, "h w 3"], height: int, width: int) -> np.ndarray:
    """The input at the result's size, by Pillow's bicubic filter."""
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def split(before: np.ndarray, after: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Left half before, right half after, a white line between them."""
    out, middle = before.copy(), before.shape[1] // 2
    out[:, middle:] = after[:, middle:]
    out[:, middle - 1 : middle + 1] = 255
    return out


def compare(source: SourceInfo, result: Path, record: dict) -> tuple[Path, Path]:
    """Writes ``NAME_compare.mp4`` (or .mkv) and ``NAME_compare.html`` beside ``result``.

    ``record`` says what the result was made with. Returns both paths. ``ValueError`` where source
    and result do not have the same number of frames.
    """
    made = scan(result)
    if made.frames != source.frames:
        raise ValueError(f"{result} has {made.frames} frames, its source {source.frames}")
    numbers = {round(n) for n in np.linspace(0, made.frames - 1, min(SHOWN, made.frames))}
    pairs, rows = {}, ([], [])

    def frames() -> Iterator[np.ndarray]:
        for number, (low, after) in enumerate(zip(source.stream(), made.stream(), strict=True)):
            before = enlarged(low, made.height, made.width)
            for kept, frame in zip(rows, (before, after), strict=True):
                kept.append(frame[made.height // 2])
            if number in numbers:
                pairs[number] = before, after
            yield split(before, after)

    stem = result.stem if result.is_file() else result.name
    output = OutputFormat()
    even = made.height % 2 == 0 and made.width % 2 == 0
    output = output if even else OutputFormat(codec="ffv1")
    segment = result.with_name(f".{stem}_compare.segment")
    video = result.with_name(f"{stem}_compare{output.suffix(source)}")
    page = result.with_name(f"{stem}_compare.html")
    try:
        encode_segment(segment, frames(), output, 8, source)
        join(video, [segment], source)
    finally:
        segment.unlink(missing_ok=True)
    flat = {k: v if isinstance(v, str) else json.dumps(v) for k, v in record.items()}
    page.write_text(render(f"{source.path.name}: before and after", pairs, rows, flat))
    return video, page
