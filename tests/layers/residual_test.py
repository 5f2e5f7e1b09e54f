"""Residual blocks whose skip connection is convolved by itself."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from uav_jax.layers.residual import ResidualBlock

SETTINGS = {"epsilon": 1e-6, "dtype": jnp.float32, "param_dtype": jnp.float32}


@pytest.fixture
def parts():
    rng = np.random.RandomState(0)
    return [jnp.asarray(rng.standard_normal((2, 3, 4, 5, c)) + 1, jnp.float32) for c in (8, 4)]


def block(groups: int) -> ResidualBlock:
    made = ResidualBlock(12, 6, groups=2, in_groups=groups, rngs=nnx.Rngs(0), **SETTINGS)
    for norm in (made.norm1, made.norm2):
        norm.bias[...] = jnp.arange(len(norm.bias[...])) / 5
    made.conv1.bias[...] = jnp.arange(6) / 7
    return made


def test_what_a_skip_connection_gives_does_not_depend_on_what_stands_before_it(parts):
    x, skip = parts
    layer = block(3)
    shared = layer.skipped(skip)
    assert isinstance(shared, tuple)
    assert jnp.abs(shared[1]).max() > 0.1
    for other in (x, 2 * x - 3):
        np.testing.assert_allclose(layer(other, skip=shared), layer(other, skip=skip), atol=1e-5)


def test_a_group_of_both_keeps_them_together(parts):
    layer = block(2)  # six channels a group: the second holds two of x
    assert layer.skipped(parts[1]) is parts[1]
