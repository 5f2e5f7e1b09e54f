"""Resampling matrices: rows add up to one, known cases, and what they must reproduce."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from uav_jax.layers import resample
from uav_jax.layers.conv import conv2d
from uav_jax.layers.resample import (
    DENSE_ENTRIES,
    TAPS,
    area_matrix,
    bicubic_matrix,
    bilinear_matrix,
    doubled_conv,
    gathered,
    nearest,
    pixel_shuffle,
    resize,
    resize_memory,
)

TOLERANCE = 2e-6
"""Float32 sums of up to 40 products of values in [0, 1], in another order."""


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


def uniform(*shape):
    return jnp.asarray(np.random.RandomState(0).uniform(0, 1, shape), jnp.float32)


@pytest.mark.parametrize("matrix", TAPS)
@pytest.mark.parametrize("source, target", [(40, 160), (40, 7), (40, 1), (1, 9), (13, 5), (6, 6)])
def test_taps_do_what_their_matrix_does(matrix, source, target):
    x, taps = uniform(2, source, source, 3), TAPS[matrix](source, target)
    assert np.array_equal(taps.dense(source), matrix(source, target))
    for axis in (-3, -2):
        height, width = (target, source) if axis == -3 else (source, target)
        dense = resize(x, height, width, matrix)
        assert np.abs(gathered(x, taps, axis) - dense).max() <= TOLERANCE


@pytest.mark.parametrize("matrix", TAPS)
@pytest.mark.parametrize("size", [(24, 32), (5, 7), (24, 2)])
def test_resizing_by_taps_is_that_by_matrices(matrix, size, monkeypatch):
    x = uniform(2, 12, 16, 3)
    dense = resize(x, *size, matrix)
    monkeypatch.setattr(resample, "DENSE_ENTRIES", 0)
    assert np.abs(resize(x, *size, matrix) - dense).max() <= TOLERANCE


def test_area_taps_of_a_long_side_agree_with_pillow():
    values = np.random.RandomState(0).uniform(0, 1, (1, 32_000)).astype(np.float32)
    theirs = Image.fromarray(values, "F").resize((8000, 1), Image.Resampling.BOX)
    ours = resize(jnp.asarray(values)[None, :, :, None], 1, 8000, area_matrix)
    assert DENSE_ENTRIES < 32_000 * 8000
    assert np.abs(ours[0, :, :, 0] - np.asarray(theirs)).max() <= TOLERANCE


def test_ordinary_sides_are_multiplied_as_before_and_memory_stays_bounded():
    assert 1920 * 7680 <= DENSE_ENTRIES < 4096 * 16_384
    assert resize_memory(480, 1920) == 12 * 480 * 1920
    assert max(resize_memory(n, 4 * n) for n in (2048, 8000, 65_000)) <= 12 * DENSE_ENTRIES
    assert resize_memory(8000, 32_000) < 2**22
