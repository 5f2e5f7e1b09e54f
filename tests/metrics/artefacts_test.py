"""Blocking and noise gain of frames whose artefacts are known."""

import numpy as np
import pytest

from uav_jax.metrics.artefacts import blocking, noise_gain


def noise(deviation, size=64, seed=0):
    rng = np.random.RandomState(seed)
    return np.clip(np.rint(128 + rng.normal(0, deviation, (2, size, size, 3))), 0, 255)


def test_without_a_grid_blocking_is_one():
    ramp = np.arange(64)[None, :, None, None] + np.arange(64)[None, None, :, None]
    ramp = np.broadcast_to(ramp, (1, 64, 64, 3)).astype(np.uint8)
    np.testing.assert_allclose(blocking(ramp), 1, rtol=1e-6)
    np.testing.assert_allclose(blocking(noise(20, 256).astype(np.uint8)), 1, atol=0.05)


def test_steps_on_the_grid_count_by_their_energy():
    frames = noise(10).astype(np.uint8)
    before = np.asarray(blocking(frames))
    stepped = frames + (np.arange(64) // 4 % 2 * 20).astype(np.uint8)[:, None]
    squared = np.diff(frames.astype(float), axis=1) ** 2
    elsewhere = np.delete(squared, np.arange(3, 63, 4), 1).mean((1, 2, 3))
    # 400 is added to the energy on the grid of one axis, of about twice `elsewhere` in all.
    assert np.asarray(blocking(stepped)) - before == pytest.approx(400 / elsewhere / 2, rel=0.2)


def test_repeated_pixels_are_all_block():
    frames = noise(30, 16).astype(np.uint8).repeat(4, 1).repeat(4, 2)
    assert (np.asarray(blocking(frames)) > 1e6).all()


def test_noise_gain_is_the_ratio_of_noise_in_flat_regions():
    truth, result = noise(4), noise(8, seed=1)
    for frames in (truth, result):  # a busy half, the same in both, which must not count
        frames[:, :32] = np.random.RandomState(2).randint(0, 256, (2, 32, 64, 3))
    gain = noise_gain(result.astype(np.uint8), truth.astype(np.uint8))
    np.testing.assert_allclose(gain, 2, rtol=0.15)
    np.testing.assert_allclose(noise_gain(truth, truth), 1, rtol=1e-6)


def test_noise_gain_stays_finite_where_the_truth_has_no_noise():
    flat = np.full((1, 32, 32, 3), 90, np.uint8)
    assert float(noise_gain(flat, flat)[0]) == 1
    assert 1 < float(noise_gain(noise(3, 32)[:1].astype(np.uint8), flat)[0]) < 10
