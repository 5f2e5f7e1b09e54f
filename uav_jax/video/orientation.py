"""Display matrices: how a player turns and flips the stored picture."""

import struct
from dataclasses import dataclass

import av
import numpy as np

from uav_jax.video.color import side_data


@dataclass(frozen=True, slots=True)
class Orientation:
    """First flipped left to right, then turned counter-clockwise by quarter turns."""

    flipped: bool = False
    quarter_turns: int = 0

    @property
    def swaps_sides(self) -> bool:
        """Whether width becomes height."""
        return self.quarter_turns % 2 == 1

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the picture `(H, W, C)` as it is meant to be seen."""
        if self.flipped:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(np.rot90(pixels, self.quarter_turns))


def orientation(frame: av.VideoFrame) -> Orientation:
    """Reads a frame's display matrix (ISO/IEC 14496-12): (x, y) goes to (ax + cy, bx + dy).

    Angles between quarter turns are rounded to the nearest.
    """
    data = side_data(frame, "DISPLAYMATRIX")
    if data is None or len(data) < 36:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", data[:36])
    flipped = a * d - b * c < 0
    if flipped:  # the flip is applied before the turn, so it negates what x contributes
        a, b = -a, -b
    turns = round(float(np.degrees(np.arctan2(-b, a))) / 90) if (a or b) else 0
    return Orientation(flipped, turns % 4)
