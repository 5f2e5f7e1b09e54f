"""Resampling matrices: rows add up to one, known cases, and what they must reproduce."""

import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.layers.conv import conv2d
from uav_jax.layers.resample import (
    area_matrix,
    bicubic_matrix,
    bilinear_matrix,
    doubled_conv,
    nearest,
    pixel_shuffle,
    resize,
)


@pytest.mark.parametrize("matrix", [area_matrix, bilinear_matrix, bicubic_matrix])
@pytest.mark.parametrize("source, target", [(10, 10), (10, 40), (13, 5), (1, 4), (7, 16)])
def test_constant_images_stay_constant(matrix, source, target):
    assert np.allclose(matrix(source, target).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("matrix", [area_matrix, bilinear_matrix, bicubic_matrix])
def test_the_same_size_is_the_identity(matrix):
    assert np.allclose(matrix(9, 9), np.eye(9), atol=1e-6)


def test_area_bins_of_an_uneven_reduction():
    expected = np.array([[1 / 2, 1 / 2, 0, 0, 0], [0, 1 / 3, 1 / 3, 1 / 3, 0], [0, 0, 0, 0.5, 0.5]])
    assert np.allclose(area_matrix(5, 3), expected)


def test_linear_ramps_survive_bilinear_enlargement_inside():
    ramp = jnp.arange(8.0).reshape(1, 8, 1, 1)
    enlarged = resize(jnp.broadcast_to(ramp, (1, 8, 8, 1)), 16, 8, bilinear_matrix)[0, 1:-1, 0, 0]
    assert np.allclose(np.diff(enlarged), 0.5)


def test_nearest_takes_floor_of_the_source_position():
    x = jnp.arange(5.0).reshape(1, 5, 1, 1)
    assert nearest(x, 7, 1).ravel().tolist() == [i * 5 // 7 for i in range(7)]
    assert nearest(x, 10, 2)[0, :, 0, 0].tolist() == [i // 2 for i in range(10)]


def test_a_doubled_convolution_is_one_of_doubled_pixels():
    rng = np.random.RandomState(0)
    x = jnp.asarray(rng.standard_normal((2, 4, 5, 3)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 3, 3, 2)), jnp.float32)
    plain = conv2d(nearest(x, 8, 10), kernel, 1, ((1, 1), (1, 1)))
    assert jnp.allclose(doubled_conv(x, kernel), plain, atol=2e-5)


def test_pixels_are_shuffled_as_in_pytorch():
    x = np.random.RandomState(0).standard_normal((2, 3, 4, 2 * 9)).astype(np.float32)
    y = pixel_shuffle(jnp.asarray(x), 3)
    assert y.shape == (2, 9, 12, 2)
    for c, i, j in np.ndindex(2, 3, 3):
        assert np.array_equal(y[:, i::3, j::3, c], x[..., c * 9 + i * 3 + j])
