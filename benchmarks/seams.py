"""Are tiles visible? Gradient energy on their borders against the interior, and flicker in time.

    python benchmarks/seams.py [--json]

A clip of smooth noise through the default model in tiles: the mean squared difference of
neighbouring pixels across the lines in the middle of overlaps, over that of all other lines, for
blended tiles and for tiles that are cut as published. What the picture itself has on those lines is
divided out: each figure is over that of the same lines of the same clip made without tiles. In time
likewise: the change from frame to frame where windows meet, over the change elsewhere, against a
run whose windows meet elsewhere; and where decode groups meet (by itself: there is no decoding
without groups).
"""

import argparse
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
from PIL import Image

from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.tiling import plan_tiles
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.shapes import UPSCALE

HEIGHT, WIDTH, FRAMES, TILE, CONTEXT = 96, 128, 13, 48, 16

LATER = 3
"""Frames that the other run starts later: its windows meet elsewhere, its decode groups do not."""


def clip() -> np.ndarray:
    """A pan over smooth noise."""
    rng = np.random.RandomState(0)
    coarse = Image.fromarray(rng.randint(0, 256, (24, 40, 3), np.uint8))
    picture = np.asarray(coarse.resize((320, 192), Image.Resampling.BICUBIC))
    return np.stack([picture[t : t + HEIGHT, 2 * t : 2 * t + WIDTH] for t in range(FRAMES)])


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


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    upscaler, frames, found = Upscaler.from_pretrained(), clip(), {}
    tiles = plan_tiles(HEIGHT, WIDTH, TILE - 2 * CONTEXT, CONTEXT)
    rows = middles(sorted({t.top for t in tiles}), tiles[0].height)
    columns = middles(sorted({t.left for t in tiles}), tiles[0].width)
    whole = replace(upscaler.defaults, perform_tile=False)
    tiled = replace(whole, perform_tile=True, tile_size=TILE - 2 * CONTEXT, tile_context=CONTEXT)

    def made(frames: np.ndarray, settings: UpscaleSettings) -> np.ndarray:
        return np.concatenate(list(upscaler.upscale(frames, settings)))

    def on_lines(video: np.ndarray) -> np.ndarray:
        return np.array([ratio(energies(video, 1), rows), ratio(energies(video, 2), columns)])

    def where_windows_meet(video: np.ndarray) -> float:
        """Of the frames from LATER on; frames 6 and 7 of the clip are in both windows."""
        return ratio(energies(video, 0), [5 - LATER, 7 - LATER])

    for name, changes in (
        ("blended", {}),
        ("published", {"tiling": "published"}),
        ("decode overlap 1", {"decode_overlap": 1}),
    ):
        untiled = made(frames, replace(whole, **changes))
        later = made(frames[LATER:], replace(whole, **changes))
        video = made(frames, replace(tiled, **changes))
        found[name] = {
            "space": float(np.mean(on_lines(video) / on_lines(untiled))),
            "windows": where_windows_meet(untiled[LATER:]) / where_windows_meet(later),
            "groups": ratio(energies(untiled, 0), list(range(2, FRAMES - 1, 3))),
        }
        values = ", ".join(f"{k} {v:.3f}" for k, v in found[name].items())
        print(f"{name}: {values}")
    if options.json:
        print(json.dumps(found | {"ratio": found["blended"]["space"]}))


if __name__ == "__main__":
    main()
