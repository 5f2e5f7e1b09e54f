"""Are tiles visible? Gradient energy on their borders against the interior, and flicker in time.

    python benchmarks/seams.py [--json]

A clip of smooth noise through the default model in tiles of its default size: the mean squared
difference of neighbouring pixels across the lines in the middle of overlaps, over that of all other
lines, for blended tiles and for tiles that are cut as published. What the picture itself has on
those lines is divided out: each figure is over that of the same lines of the same clip made without
tiles. In time likewise: the change from frame to frame where windows meet, over the change
elsewhere, against a run whose windows meet elsewhere; and where decode groups meet (by itself:
there is no decoding without groups).
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from measure import parse, report
from PIL import Image

from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.tiling import plan_tiles
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.shapes import UPSCALE

LARGE, SMALL = (3, 240, 400), (13, 64, 80)
"""Frames, height and width: for tiles, and for windows and groups."""

LATER = 3
"""Frames that the other run starts later: its windows and decode groups meet elsewhere."""


def clip(frames: int, height: int, width: int) -> np.ndarray:
    """A pan over smooth noise."""
    rng = np.random.RandomState(0)
    tall, wide = height + frames, width + 2 * frames
    coarse = Image.fromarray(rng.randint(0, 256, (tall // 8, wide // 8, 3), np.uint8))
    picture = np.asarray(coarse.resize((wide, tall), Image.Resampling.BICUBIC))
    return np.stack([picture[t : t + height, 2 * t : 2 * t + width] for t in range(frames)])


def energies(video: np.ndarray, axis: int) -> np.ndarray:
    """Mean squared difference across every line of an axis."""
    other = tuple(i for i in range(4) if i != axis)
    return np.square(np.diff(video, axis=axis)).mean(other)


def ratio(values: np.ndarray, lines: list[int]) -> float:
    """Mean on ``lines`` over the mean elsewhere."""
    return float(values[lines].mean() / np.delete(values, lines).mean())


def middles(starts: list[int], length: int) -> list[int]:
    """The differences across the middles of overlaps, in the result."""
    pairs = pairwise(starts)
    return [UPSCALE * (b + (a + length - b) // 2) - 1 for a, b in pairs]


def made(upscaler: Upscaler, frames: np.ndarray, settings: UpscaleSettings) -> np.ndarray:
    """All frames of a result."""
    return np.concatenate(list(upscaler.upscale(frames, settings)))


def in_space(upscaler: Upscaler, whole: UpscaleSettings) -> dict[str, float]:
    """The figure of blended and of published tiles."""
    frames = clip(*LARGE)
    tiles = plan_tiles(LARGE[1], LARGE[2], whole.tile_size, whole.tile_context)
    rows = middles(sorted({t.top for t in tiles}), tiles[0].height)
    columns = middles(sorted({t.left for t in tiles}), tiles[0].width)

    def on_lines(settings: UpscaleSettings) -> np.ndarray:
        video = made(upscaler, frames, settings)
        lines = [(axis, at) for axis, at in ((1, rows), (2, columns)) if at]
        return np.array([ratio(energies(video, axis), at) for axis, at in lines])

    untiled, tiled = on_lines(whole), replace(whole, perform_tile=True)
    return {
        name: float(np.mean(on_lines(settings) / untiled))
        for name, settings in (
            ("tiles, blended", tiled),
            ("tiles, published", replace(tiled, tiling="published")),
        )
    }


def in_time(upscaler: Upscaler, settings: UpscaleSettings) -> tuple[float, float]:
    """The figures of windows and of decode groups; frames 6 and 7 are in two windows."""
    frames = clip(*SMALL)
    first, later = (made(upscaler, f, settings) for f in (frames, frames[LATER:]))
    meet = [5 - LATER, 7 - LATER]
    windows = ratio(energies(first[LATER:], 0), meet) / ratio(energies(later, 0), meet)
    group = upscaler.network("vae_video").config.group
    return windows, ratio(energies(first, 0), list(range(group - 1, SMALL[0] - 1, group)))


def main() -> None:
    """Prints the ratios."""
    options = parse(__doc__)
    upscaler = Upscaler.from_pretrained()
    whole = replace(upscaler.defaults, perform_tile=False)
    found = in_space(upscaler, whole)
    for overlap in (0, 1):
        windows, groups = in_time(upscaler, replace(whole, decode_overlap=overlap))
        found |= {f"windows, overlap {overlap}": windows, f"groups, overlap {overlap}": groups}
    report(options, found | {"ratio": found["tiles, blended"]})


if __name__ == "__main__":
    main()
