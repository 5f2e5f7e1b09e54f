"""Group normalisation: over which axes its statistics run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from uav_jax.layers.norm import GroupNorm, LayerNorm


def norm(per_frame=False):
    settings = {"dtype": jnp.float32, "param_dtype": jnp.float32, "rngs": nnx.Rngs(0)}
    return GroupNorm(4, 2, epsilon=1e-6, per_frame=per_frame, **settings)


def clip():
    scale = jnp.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1, 1)
    values = np.random.RandomState(0).standard_normal((1, 3, 6, 6, 4))
    return scale * jnp.asarray(values, jnp.float32) + 5


def test_statistics_run_over_the_whole_clip():
    y = norm()(clip()).reshape(-1, 2, 2)
    assert jnp.allclose(y.mean((0, 2)), 0, atol=1e-4)
    assert jnp.allclose(y.std((0, 2)), 1, atol=1e-4)


def test_statistics_per_frame_where_asked():
    y = norm(per_frame=True)(clip()).reshape(3, -1, 2, 2)
    assert jnp.allclose(y.mean((1, 3)), 0, atol=1e-4)
    assert jnp.allclose(y.std((1, 3)), 1, atol=1e-4)


def test_activation_is_silu_of_the_normalised_values():
    plain = norm()(clip())
    assert jnp.allclose(norm()(clip(), activation=True), plain / (1 + jnp.exp(-plain)), atol=1e-6)


def test_channels_in_parts_are_one_array():
    x = clip()
    whole, parts = norm()(x, activation=True), norm()(x[..., :1], x[..., 1:], activation=True)
    assert jnp.allclose(whole, parts, atol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_a_folded_norm_is_as_exact_in_bfloat16_as_one_in_front(offset):
    rng = np.random.RandomState(0)

    def draw(*shape):
        return jnp.asarray(rng.standard_normal(shape), jnp.bfloat16)

    x, kernel, bias = draw(200, 64) + jnp.bfloat16(offset), draw(64, 32) / 8, draw(32)
    wide = LayerNorm(64, dtype=jnp.float32, param_dtype=jnp.float32)
    short = LayerNorm(64, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    for layer in (wide, short):
        layer.scale[...] = (1 + jnp.sin(jnp.arange(64.0))).astype(layer.scale.dtype)
        layer.bias[...] = jnp.cos(jnp.arange(64.0)).astype(layer.bias.dtype)
    exact = wide(x) @ kernel.astype(jnp.float32) + bias
    in_front = jnp.abs(short(x) @ kernel + bias - exact).mean()
    assert jnp.abs(short.folded(x, kernel, bias) - exact).mean() <= in_front


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("per_frame", [False, True])
def test_gradient_is_that_of_the_formula(activation, per_frame):
    graph, state = nnx.split(norm(per_frame))
    weights = jnp.asarray(np.random.RandomState(1).standard_normal(clip().shape), jnp.float32)

    def plain(state, x):
        layer = nnx.merge(graph, state)
        x_grouped = x.reshape((3, -1, 2, 2) if per_frame else (1, -1, 2, 2))
        mean, variance = (f(x_grouped, (1, 3), keepdims=True) for f in (jnp.mean, jnp.var))
        y = ((x_grouped - mean) / jnp.sqrt(variance + 1e-6)).reshape(x.shape)
        y = y * layer.scale[...] + layer.bias[...]
        return ((jax.nn.silu(y) if activation else y) * weights).sum()

    def ours(state, x):
        return (nnx.merge(graph, state)(x, activation=activation) * weights).sum()

    state = jax.tree.map(lambda v: v + jnp.linspace(0.1, 0.5, 4), state)
    gradients = (jax.grad(f, (0, 1))(state, clip()) for f in (ours, plain))
    for a, b in zip(*map(jax.tree.leaves, gradients), strict=True):
        assert jnp.abs(a - b).max() <= 1e-4 * jnp.abs(b).max()
