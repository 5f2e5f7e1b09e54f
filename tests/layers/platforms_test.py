"""What TPUs compute in another way than CPUs is the same function with the same gradient."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from uav_jax.layers import attention
from uav_jax.layers.attention import CrossAttention, FeedForward, TemporalAttention
from uav_jax.layers.conv import Conv2d, TemporalConv, laid_out_for_images
from uav_jax.layers.linear import Linear
from uav_jax.layers.norm import GroupNorm, LayerNorm
from uav_jax.layers.resample import Upsample
from uav_jax.layers.residual import ResidualBlock

FLOAT32_SUMS = 3e-5
"""Other summation orders, and a difference of squares, of values of order one."""

SHAPE = (2, 5, 4, 6, 8)
SETTINGS = {"dtype": jnp.float32, "param_dtype": jnp.float32, "rngs": nnx.Rngs(0)}
FREQUENCIES = jnp.array([1.0, 0.1])


class Normed(nnx.Module):
    """A layer behind a norm that may be folded into it."""

    def __init__(self, layer):
        self.norm, self.layer = LayerNorm(8, **SETTINGS), layer

    def __call__(self, x, *rest):
        return self.layer(self.norm(x), *rest, fold=partial(self.norm.folded, x))


class LaidOut(nnx.Module):
    """A convolution between values that are laid out for it."""

    def __init__(self):
        self.layer = Conv2d(8, 8, **SETTINGS)

    def __call__(self, x):
        return laid_out_for_images(self.layer(laid_out_for_images(x)))


LAYERS = {
    "group norm": lambda: GroupNorm(8, 4, epsilon=1e-6, **SETTINGS),
    "group norm and SiLU": lambda: GroupNorm(8, 2, epsilon=1e-6, **SETTINGS),
    "group norm of frames": lambda: GroupNorm(8, 4, epsilon=1e-6, per_frame=True, **SETTINGS),
    "group norm of parts": lambda: GroupNorm(8, 4, epsilon=1e-6, **SETTINGS),
    "layer norm": lambda: LayerNorm(8, **SETTINGS),
    "temporal convolution": lambda: TemporalConv(8, 6, 5, **SETTINGS),
    "attention over space": lambda: Normed(CrossAttention(8, 8, 2, **SETTINGS)),
    "attention over time": lambda: Normed(TemporalAttention(8, 2, **SETTINGS)),
    "feed-forward": lambda: Normed(FeedForward(8, **SETTINGS)),
    "linear": lambda: Linear(8, 3, **SETTINGS),
    "linear behind a norm": lambda: Normed(Linear(8, 3, **SETTINGS)),
    "linear behind a norm of few": lambda: Normed(Linear(8, 3, **SETTINGS)),
    "convolution": lambda: Conv2d(8, 3, **SETTINGS),
    "convolution of what is laid out": LaidOut,
    "residual block among tokens": lambda: ResidualBlock(
        8, 4, groups=2, epsilon=1e-6, among_tokens=True, **SETTINGS
    ),
    "enlargement": lambda: Upsample(8, **SETTINGS),
}


def call(name, layer, x):
    if name == "group norm and SiLU":
        return layer(x, activation=True)
    if name == "group norm of parts":
        return layer(x[..., :5], x[..., 5:])
    if name == "residual block among tokens":
        return layer(x[..., :5], skip=x[..., 5:])
    return layer(x, FREQUENCIES) if name == "attention over time" else layer(x)


def value_and_gradient(name, graph, state, x):
    """The layer's output, and gradients to its parameters and its input."""

    def weighted(state, x):
        y = call(name, nnx.merge(graph, state), x)
        return (y * jnp.cos(jnp.arange(y.size).reshape(y.shape))).sum(), y

    (_, y), gradient = jax.value_and_grad(weighted, (0, 1), has_aux=True)(state, x)
    return jax.tree.leaves((y, gradient))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_the_same_on_a_tpu(name, monkeypatch):
    graph, state = nnx.split(LAYERS[name]())
    rng = np.random.RandomState(1)  # weights that start at zero too
    state = jax.tree.map(lambda v: jnp.asarray(rng.standard_normal(v.shape), jnp.float32), state)
    x = jnp.asarray(rng.standard_normal(SHAPE) + 1, jnp.float32)
    x = x[:, :1] if name.endswith("of few") else x
    here = value_and_gradient(name, graph, state, x)
    chosen = []

    def as_on_tpu(*arguments, default=None, tpu=None, **others):
        chosen.append(others)
        return (tpu or default)(*arguments)

    monkeypatch.setattr(jax.lax, "platform_dependent", as_on_tpu)
    for size, value in {"COLUMNS": 16, "IN_BLOCKS_FROM": 1, "LANES": 4}.items():
        monkeypatch.setattr(attention, size, value)
    there = value_and_gradient(name, graph, state, x)
    assert chosen
    for a, b in zip(there, here, strict=True):
        assert jnp.abs(a - b).max() <= FLOAT32_SUMS * (1 + jnp.abs(b).max())
