"""The plan of temporal windows: which frames the U-Net sees together, and how results merge.

The published order walks windows of 8 frames starting at 0, 6, 12, ... and averages every new
prediction half and half with what a frame already has. That is linear, so the plan stores for each
distinct window and frame the weight that this order gives it.
"""

from dataclasses import dataclass

import numpy as np

WINDOW = 8
STRIDE = 6


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Distinct windows (first frames, one ``length``) and merge weights ``(windows, frames)``."""

    starts: tuple[int, ...]
    length: int
    weights: np.ndarray

    @property
    def frames(self) -> np.ndarray:
        """Frame numbers of every window, ``(windows, length)``."""
        return np.asarray(self.starts)[:, None] + np.arange(self.length)


def plan_windows(frames: int, window: int = WINDOW, stride: int = STRIDE) -> WindowPlan:
    """The published windows of a clip; one window where it is no longer than ``window``.

    A window that would run past the end is moved back to end there. The same window may come up
    twice; it is planned once, with the weights that averaging it in twice gives.
    """
    if frames < 1:
        raise ValueError(f"a clip of {frames} frames has no windows")
    if frames <= window:
        return WindowPlan((0,), frames, np.ones((1, frames), np.float32))
    order = [min(start, frames - window) for start in range(0, frames, stride)]
    starts = tuple(dict.fromkeys(order))
    weights = np.zeros((len(starts), frames), np.float64)
    seen = np.zeros(frames, bool)
    for start in order:
        part = slice(start, start + window)
        weights[:, part] *= np.where(seen[part], 0.5, 1.0)
        weights[starts.index(start), part] += np.where(seen[part], 0.5, 1.0)
        seen[part] = True
    return WindowPlan(starts, window, weights.astype(np.float32))
