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
    """Distinct windows (first frames, one ``length``) and merge weights ``(windows, frames)``.

    Starts count from frame ``first`` of the clip, and the weights' frames are those from there on.
    """

    starts: tuple[int, ...]
    length: int
    weights: np.ndarray
    first: int = 0

    @property
    def frames(self) -> np.ndarray:
        """Frame numbers of every window, ``(windows, length)``."""
        return np.asarray(self.starts)[:, None] + np.arange(self.length)


def _order(frames: int, window: int, stride: int) -> list[int]:
    """First frames of the windows as they are walked; one that would pass the end is moved back."""
    return [max(0, min(start, frames - window)) for start in range(0, frames, stride)]


def plan_windows(
    frames: int,
    start: int = 0,
    stop: int | None = None,
    *,
    margin: int = 0,
    window: int = WINDOW,
    stride: int = STRIDE,
) -> WindowPlan:
    """The published windows of a clip that see its frames ``start`` to ``stop`` (all of them).

    A clip no longer than ``window`` has one. The same window may come up twice; it is planned once,
    with the weights that averaging it in twice gives. The weights of frames ``start`` to ``stop``
    are those of the whole clip's plan. ``margin`` takes that many more windows on either side.
    """
    if frames < 1:
        raise ValueError(f"a clip of {frames} frames has no windows")
    stop = frames if stop is None else stop
    if not 0 <= start < stop <= frames:
        raise ValueError(f"frames {start} to {stop} of a clip of {frames} have no windows")
    order, window = _order(frames, window, stride), min(window, frames)
    seeing = [i for i, first in enumerate(order) if first < stop and first + window > start]
    order = order[max(0, seeing[0] - margin) : seeing[-1] + 1 + margin]
    starts = tuple(dict.fromkeys(order))
    first, last = min(starts), max(starts) + window
    weights = np.zeros((len(starts), last - first), np.float64)
    seen = np.zeros(last - first, bool)
    for walked in order:
        part = slice(walked - first, walked - first + window)
        weights[:, part] *= np.where(seen[part], 0.5, 1.0)
        weights[starts.index(walked), part] += np.where(seen[part], 0.5, 1.0)
        seen[part] = True
    return WindowPlan(
        tuple(walked - first for walked in starts), window, weights.astype(np.float32), first
    )
