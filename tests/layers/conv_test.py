"""Convolutions: against direct sums, and the custom gradient against XLA's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from uav_jax.layers.conv import Conv2d, Conv3d, TemporalConv, _conv2d, conv2d

FLOAT32_SUMS = 2e-5
"""Different summation orders of a few hundred float32 products."""


def random(*shape, seed=0):
    return jnp.asarray(np.random.RandomState(seed).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("kernel, padding", [((3, 3), (1, 1)), ((1, 5), (0, 2)), ((7, 7), (3, 3))])
@pytest.mark.parametrize("cin, cout", [(4, 6), (6, 4)])
def test_custom_kernel_gradient_equals_xlas(kernel, padding, cin, cout):
    x, k = random(3, 9, 11, cin), random(*kernel, cin, cout, seed=1)
    pad = tuple((p, p) for p in padding)
    weights = random(3, 9, 11, cout, seed=2)
    ours = jax.grad(lambda x, k: (conv2d(x, k, 1, pad) * weights).sum(), (0, 1))(x, k)
    xlas = jax.grad(lambda x, k: (_conv2d(x, k, 1, pad) * weights).sum(), (0, 1))(x, k)
    for a, b in zip(ours, xlas, strict=True):
        assert jnp.abs(a - b).max() <= FLOAT32_SUMS * jnp.abs(b).max()


def test_strided_kernel_gradient_equals_xlas():
    x, k, pad = random(2, 8, 8, 3), random(3, 3, 3, 5, seed=1), ((0, 1), (0, 1))
    ours = jax.grad(lambda k: (conv2d(x, k, 2, pad) ** 2).sum())(k)
    xlas = jax.grad(lambda k: (_conv2d(x, k, 2, pad) ** 2).sum())(k)
    assert jnp.abs(ours - xlas).max() <= FLOAT32_SUMS * jnp.abs(xlas).max()


def layer(kind, *arguments):
    settings = {"dtype": jnp.float32, "param_dtype": jnp.float32, "rngs": nnx.Rngs(0)}
    return kind(*arguments, **settings)


def test_temporal_convolution_adds_neighbouring_frames_with_zeros_outside():
    conv = layer(TemporalConv, 1, 1, 3)
    conv.kernel[...] = jnp.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    x = jnp.arange(1.0, 4.0).reshape(1, 3, 1, 1, 1)
    assert conv(x).ravel().tolist() == [210.0, 321.0, 32.0]


def test_3d_convolution_equals_xlas():
    conv, x = layer(Conv3d, 4, 6), random(2, 3, 5, 7, 4)
    expected = jax.lax.conv_general_dilated(
        x, conv.kernel[...], (1, 1, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )
    assert jnp.abs(conv(x) - expected).max() <= FLOAT32_SUMS * jnp.abs(expected).max()


def test_frames_do_not_see_each_other_in_a_2d_convolution():
    conv, x = layer(Conv2d, 2, 3), random(1, 2, 6, 6, 2)
    changed = x.at[:, 1].add(1.0)
    assert jnp.array_equal(conv(x)[:, 0], conv(changed)[:, 0])
    assert not jnp.array_equal(conv(x)[:, 1], conv(changed)[:, 1])
