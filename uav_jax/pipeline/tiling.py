"""Tiles in space: where they lie and how they blend.

All tiles of a plan have the same size, so one compiled program serves them; a tile at the border is
moved inwards instead of being cut. Overlaps blend with linear ramps, or are cut in their middle as
the published code cuts its tiles.
"""

from dataclasses import dataclass

import numpy as np

AUTOMATIC_FROM = 384 * 384
"""Low-resolution area from which a clip is tiled unasked, as published."""

LONGEST_UNTILED = 2048
"""Low-resolution pixels of a side above which a clip is tiled unasked, whatever its area."""

CONTEXT = 64
"""Low-resolution pixels that a tile sees around itself."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the low-resolution frame."""

    top: int
    left: int
    height: int
    width: int

    def slices(self, scale: int = 1) -> tuple[slice, slice]:
        """Row and column slices, enlarged by ``scale``."""
        return (
            slice(scale * self.top, scale * (self.top + self.height)),
            slice(scale * self.left, scale * (self.left + self.width)),
        )


def _starts(size: int, tile: int, context: int) -> tuple[list[int], int]:
    """Equally long stretches that cover ``size`` and overlap by at least ``context``.

    As few as the longest allowed stretch needs, and then no longer than that number needs.
    """
    longest = min(size, tile + 2 * context)
    if longest == size:
        return [0], size
    count = -(-(size - context) // (longest - context))
    length = -(-(size + (count - 1) * context) // count)
    return [round(i * (size - length) / (count - 1)) for i in range(count)], length


def plan_tiles(height: int, width: int, tile: int, context: int = CONTEXT) -> list[Tile]:
    """Tiles of at most ``tile + 2 * context`` pixels a side, row by row; they cover every pixel."""
    rows, tile_height = _starts(height, tile, context)
    columns, tile_width = _starts(width, tile, context)
    return [Tile(y, x, tile_height, tile_width) for y in rows for x in columns]


def blend_weights(
    tiles: list[Tile], height: int, width: int, scale: int = 1, *, hard: bool = False
) -> list[np.ndarray]:
    """For every tile its share of each of its pixels, ``(H, W, 1)`` float32; shares add up to 1.

    ``hard`` gives every pixel to one tile, so that tiles meet in an edge.
    """

    def ramp(start: int, length: int, size: int, others: list[int]) -> np.ndarray:
        weight = np.ones(length * scale, np.float32)
        before = [s + length - start for s in others if s < start and s + length > start]
        after = [start + length - s for s in others if s > start and start + length > s]
        for overlap, part in ((max(before, default=0), 1), (max(after, default=0), -1)):
            n = overlap * scale
            rising = (np.arange(n, dtype=np.float32) + 0.5) / max(n, 1)
            if hard:
                rising = (rising > 0.5) + np.float32(1e-6) * (rising == 0.5)
            weight[::part][:n] *= rising
        return weight

    rows = sorted({tile.top for tile in tiles})
    columns = sorted({tile.left for tile in tiles})
    shares = [
        ramp(t.top, t.height, height, rows)[:, None, None]
        * ramp(t.left, t.width, width, columns)[None, :, None]
        for t in tiles
    ]
    total = np.zeros((height * scale, width * scale, 1), np.float32)
    for tile, share in zip(tiles, shares, strict=True):
        total[tile.slices(scale)] += share
    return [s / total[t.slices(scale)] for t, s in zip(tiles, shares, strict=True)]
