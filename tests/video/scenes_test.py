"""Scene cuts: found where the picture changes, and not where it moves, flashes or fades."""

import numpy as np
import pytest
from PIL import Image

from uav_jax.video.scenes import ChangeMeter, find_cuts


def texture(seed: int) -> np.ndarray:
    rng = np.random.RandomState(seed)
    small = Image.fromarray(rng.randint(0, 256, (9, 16, 3), np.uint8))
    return np.asarray(small.resize((400, 300), Image.Resampling.BICUBIC))


def pan(seed: int, frames: int, speed: int) -> list[np.ndarray]:
    picture = texture(seed)
    return [picture[40:136, t * speed : t * speed + 160] for t in range(frames)]


def cuts(frames) -> list[int]:
    meter = ChangeMeter()
    for frame in frames:
        meter.add(np.ascontiguousarray(frame))
    return find_cuts(meter.changes)


@pytest.mark.parametrize("speed", [0, 2, 6])
def test_a_pan_has_no_cut_and_two_pans_have_one(speed):
    assert cuts(pan(0, 15, speed)) == []
    assert cuts(pan(0, 9, speed) + pan(1, 8, speed)) == [9]


def test_several_cuts_and_short_scenes_are_found():
    assert cuts(pan(0, 6, 2) + pan(1, 2, 2) + pan(2, 7, 2)) == [6, 8]


def test_a_flash_is_no_cut():
    frames = pan(0, 12, 1)
    frames[5] = np.full_like(frames[5], 250)
    assert cuts(frames) == []


def test_a_fade_is_no_cut():
    start, end = texture(0)[:96, :160].astype(float), texture(1)[:96, :160].astype(float)
    fade = [(start + (end - start) * t / 12).astype(np.uint8) for t in range(13)]
    assert cuts(fade) == []


def test_a_single_frame_and_none_have_no_cut():
    assert cuts(pan(0, 1, 0)) == [] and find_cuts([]) == []
