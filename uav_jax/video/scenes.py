"""Scene cuts: where a frame has little to do with the one before it.

A frame's change is the mean absolute difference of small pictures of it and of the last frame, in
8-bit levels. A cut is a change that is large by itself and stands out from its neighbours, so that
fast motion, whose changes are all large, is no cut; and that the next frame does not take back, so
that a flash is none either.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

THUMBNAIL_SIZE = (48, 27)
"""Of the small pictures: fine motion averages out in them."""

CHANGE, PROMINENCE, NEIGHBOURS = 12.0, 3.0, 6
"""Levels from which a change may be a cut, how many times its neighbours' median, and how many."""


class ChangeMeter:
    """Measures how much each frame differs from the last two."""

    def __init__(self):
        self._last: list[np.ndarray] = []
        self.changes: list[float] = []

    def add(self, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """The next frame; the first has no change, and a flash and its end have none either."""
        small = np.asarray(
            Image.fromarray(image).resize(THUMBNAIL_SIZE, Image.Resampling.BOX), np.float32
        )
        change = float(np.abs(small - self._last[-1]).mean()) if self._last else 0.0
        if len(self._last) == 2:
            back = float(np.abs(small - self._last[0]).mean())
            if back < CHANGE and self.changes[-1] >= CHANGE:
                self.changes[-1] = change = back
        self.changes.append(change)
        self._last = [*self._last[-1:], small]


def find_cuts(changes: Sequence[float]) -> list[int]:
    """The first frames of later scenes, by the changes of all frames."""
    values = np.asarray(changes)
    cuts = []
    for at in np.flatnonzero(values >= CHANGE):
        low, high = max(1, at - NEIGHBOURS), at + NEIGHBOURS + 1
        beside = np.delete(values[low:high], at - low)
        if values[at] >= PROMINENCE * (np.median(beside) if beside.size else 0.0):
            cuts.append(int(at))
    return cuts
