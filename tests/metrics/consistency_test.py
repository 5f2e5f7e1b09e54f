"""E*warp on motion that is known."""

import numpy as np
import pytest

from uav_jax.metrics.consistency import TruthMotion, truth_motion, warping_error


def panning(seed=0, frames=3, shift=2):
    """Smooth texture that moves ``shift`` pixels to the left a frame."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((64, 96, 3)), axes=(0, 1))
    y, x = np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(96)[None]
    smooth = np.fft.irfft2(spectrum * np.exp(-200 * (x**2 + y**2))[..., None], axes=(0, 1))
    wide = 128 + smooth / np.abs(smooth).max() * 100
    return np.stack([wide[:, t * shift : t * shift + 80] for t in range(frames)]).astype(np.uint8)


@pytest.fixture(scope="module")
def clip():
    return panning()


@pytest.fixture(scope="module")
def motion(clip):
    return truth_motion(clip)


def test_flow_points_to_where_a_pixel_goes(motion):
    inner = motion.forward[:, 16:-16, 16:-16]
    assert np.median(inner[..., 0]) == pytest.approx(-2, abs=0.1)
    assert np.median(inner[..., 1]) == pytest.approx(0, abs=0.1)
    assert motion.mask.mean() > 0.8
    assert motion.mask[:, :, 0].max() == 0, "what leaves the frame does not count"


def test_the_truth_is_nearly_steady_and_flicker_is_not(clip, motion):
    steady = warping_error(clip, motion)
    flicker = clip.astype(int)
    flicker[1] += 10
    error = warping_error(np.clip(flicker, 0, 255).astype(np.uint8), motion)
    assert steady.shape == (2,) and steady.max() < 0.2
    assert error == pytest.approx(1000 * (10 / 255) ** 2, rel=0.15)


def test_a_known_flow_gives_the_hand_computed_error():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[0, :, 1], frames[1, :, 2] = 51, 102  # the bright column moves right and doubles
    forward = np.zeros((1, 4, 4, 2), np.float32)
    forward[..., 0] = 1
    mask = np.ones((1, 4, 4, 1), np.float32)
    mask[:, :, 3] = 0
    # Three columns count; one of them is off by 51 / 255 = 0.2.
    assert warping_error(frames, TruthMotion(forward, mask)) == pytest.approx(1000 * 0.04 / 3)
