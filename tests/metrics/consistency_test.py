"""E*warp and flicker on motion that is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.metrics import consistency
from uav_jax.metrics.consistency import Motion, flicker, lucas_kanade, motion, warping_error


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
def known(clip):
    return motion(clip[0], clip[1])


def test_flow_points_to_where_a_pixel_goes(known):
    inner = known.forward[16:-16, 16:-16]
    assert np.median(inner[..., 0]) == pytest.approx(-2, abs=0.1)
    assert np.median(inner[..., 1]) == pytest.approx(0, abs=0.1)
    assert known.mask.mean() > 0.8
    assert known.mask[:, 0].max() == 0, "what leaves the frame does not count"


def test_flow_of_reduced_frames_counts_in_pixels_of_whole_ones(clip):
    half = lucas_kanade(clip[0], clip[1], pixels=64 * 80 // 4)
    assert half.shape == (64, 80, 2)
    assert np.median(half[16:-16, 16:-16, 0]) == pytest.approx(-2, abs=0.2)


def test_frames_are_reduced_by_the_smallest_factor_that_is_enough():
    assert consistency._factor(352, 640, consistency.TRUTH_PIXELS) == 1
    assert consistency._factor(1080, 1920, consistency.TRUTH_PIXELS) == 3
    assert consistency._factor(352, 640, consistency.SELF_PIXELS) == 2


def test_the_truth_is_nearly_steady_and_a_brighter_frame_is_not(clip, known):
    brighter = np.clip(clip[1].astype(int) + 10, 0, 255).astype(np.uint8)
    assert warping_error(clip[0], clip[1], known) < 0.2
    error = float(warping_error(clip[0], brighter, known))
    assert error == pytest.approx(1000 * (10 / 255) ** 2, rel=0.15)


def test_a_known_flow_gives_the_hand_computed_error():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[0, :, 1], frames[1, :, 2] = 51, 102  # the bright column moves right and doubles
    forward = np.zeros((4, 4, 2), np.float32)
    forward[..., 0] = 1
    mask = np.ones((4, 4, 1), np.float32)
    mask[:, 3] = 0
    # Three columns count; one of them is off by 51 / 255 = 0.2.
    error = float(warping_error(*frames, Motion(jnp.asarray(forward), jnp.asarray(mask))))
    assert error == pytest.approx(1000 * 0.04 / 3)


def test_flicker_is_what_turns_back():
    frames = np.full((3, 4, 4, 3), 100, np.uint8)
    assert float(flicker(*frames)) == 0
    frames[1] += 10  # up and down again
    assert float(flicker(*frames)) == pytest.approx(10)
    frames[2] += 20  # up and up
    assert float(flicker(*frames)) == 0
