"""How a long clip is worked on: scene by scene, and each scene in segments of bounded length.

Windows and decode groups lie where they would lie if the whole scene were one segment, and a
segment brings the frames that its windows see; so where one is cut changes nothing but what further
steps carry from beyond those windows. Nothing of a scene depends on another scene.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from uav_jax.diffusion.windows import STRIDE, WindowPlan, plan_windows


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames ``start`` to ``stop`` of a scene, made from the frames that ``windows`` see."""

    scene: int  # the scene's first frame in the clip
    frames: int  # of the scene
    start: int
    stop: int
    windows: WindowPlan

    @property
    def first(self) -> int:
        """The first frame of the scene that is looked at."""
        return self.windows.first

    @property
    def last(self) -> int:
        """The frame behind the last that is looked at."""
        return self.first + self.windows.weights.shape[1]

    @property
    def kept(self) -> slice:
        """Of the frames that are looked at, those that are made."""
        return slice(self.start - self.first, self.stop - self.first)

    @property
    def of_clip(self) -> tuple[int, int]:
        """(first, last + 1) of the frames that are looked at, counted in the clip."""
        return self.scene + self.first, self.scene + self.last


def plan_segments(
    frames: int, length: int, cuts: Sequence[int] = (), margin: int = 0
) -> list[Segment]:
    """Segments of at most ``length`` frames (a multiple of 6) of every scene.

    ``cuts`` are the first frames of scenes but the first; ``margin`` windows more are looked at on
    either side. ``ValueError`` for cuts that do not rise inside the clip.
    """
    assert length % STRIDE == 0, "windows and decode groups must not be cut"
    starts = [0, *cuts]
    if any(a >= b for a, b in zip(starts, [*cuts, frames], strict=True)):
        raise ValueError(
            f"scene cuts {', '.join(map(str, cuts))} do not rise between 1 and {frames - 1}"
        )
    lengths = [b - a for a, b in zip(starts, [*cuts, frames], strict=True)]
    segments = []
    for scene, count in zip(accumulate([0, *lengths[:-1]]), lengths, strict=True):
        for start in range(0, count, length):
            stop = min(start + length, count)
            windows = plan_windows(count, start, stop, margin=margin)
            segments.append(Segment(scene, count, start, stop, windows))
    return segments
