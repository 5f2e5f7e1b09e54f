"""The default model with nearest-neighbour enlargement in place of its networks.

For tests of files, names and journals, in which the pictures do not matter.
"""

from functools import cache

import numpy as np

from uav_jax.pipeline.runner import to_unit_range
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.shapes import UPSCALE

GROUP = 3


class StubRunner:
    """Gives the frames of a segment enlarged."""

    def __init__(self, plan, progress):
        self.plan, self.progress, self.carried = plan, progress, (-1, {})

    def segment(self, frames, segment):
        kept = to_unit_range(frames[segment.kept])
        for start in range(0, len(kept), GROUP):
            group = kept[start : start + GROUP]
            yield np.repeat(np.repeat(group, UPSCALE, 1), UPSCALE, 2)
            self.progress("decoding", start + len(group), len(kept))


class StubUpscaler(Upscaler):
    """Plans and checks as the default model does."""

    def runner(self, plan, settings, frames, *, progress=lambda *_: None):
        self.check(settings)
        return StubRunner(plan, progress)


@cache
def stub_upscaler() -> StubUpscaler:
    """The one of this process."""
    return StubUpscaler.from_pretrained("default")
