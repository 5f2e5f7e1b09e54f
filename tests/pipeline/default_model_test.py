"""What the default model's settings do, on clips of two frames."""

from dataclasses import replace

import numpy as np
import pytest

from tests.clips import smooth_frames
from tests.quick import quick_upscaler


@pytest.fixture(scope="module")
def upscaler():
    return quick_upscaler()


def made(upscaler, frames, cuts=(), **changes):
    settings = replace(upscaler.defaults, **changes)
    return np.concatenate(list(upscaler.upscale(frames, settings, cuts=cuts)))


def test_an_edge_is_mirrored_around_frames_and_cut_off(upscaler):
    frames = smooth_frames(2, 16, 20)
    wide = np.pad(frames, ((0, 0), (4, 4), (4, 4), (0, 0)), "reflect")
    expected = made(upscaler, wide)[:, 16:-16, 16:-16]
    assert np.array_equal(made(upscaler, frames, edge=4), expected)
    with pytest.raises(ValueError, match=r"edge 65 is outside 0\.\.64"):
        replace(upscaler.defaults, edge=65)


def test_each_scene_is_made_with_its_own_prompt(upscaler):
    frames, prompts = smooth_frames(4, 24, 28), ("smooth", "sharp, keep film grain")
    both = made(upscaler, frames, (2,), scene_prompts=prompts)
    for part, prompt in zip((slice(0, 2), slice(2, 4)), prompts, strict=True):
        assert np.array_equal(both[part], made(upscaler, frames[part], prompt=prompt))
    assert not np.array_equal(both[2:], made(upscaler, frames[2:], prompt=prompts[0]))
    with pytest.raises(ValueError, match="2 scene prompts for 1 scenes"):
        made(upscaler, frames, scene_prompts=prompts)
