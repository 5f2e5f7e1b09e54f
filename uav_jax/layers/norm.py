"""Normalisation layers. Statistics are always float32."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from uav_jax.shapes import Video


def _variance(x: Array, mean: Array, average: Callable[[Array], Array]) -> Array:
    """``average((x - mean)^2)``.

    Accelerators take ``average(x^2) - mean^2``: sums of ``x`` and of its square can be made where
    ``x`` is, without reading it again. CPUs gain nothing from that, and it costs digits.
    """
    return jax.lax.platform_dependent(
        x,
        mean,
        cpu=lambda x, mean: average(jnp.square(x - mean)),
        default=lambda x, mean: jnp.maximum(average(jnp.square(x)) - jnp.square(mean), 0),
    )


def _of_groups(mean_BC: Array, groups: int) -> Array:
    """Each channel's value replaced by its group's mean: ``(B, 1, C)``."""
    B, C = mean_BC.shape
    mean_BG = mean_BC.reshape(B, groups, C // groups).mean(-1)
    return jnp.repeat(mean_BG, C // groups, axis=-1)[:, None]


def group_statistics(
    x: Float[Array, "B P C"], groups: int
) -> tuple[Float[Array, "B 1 C"], Float[Array, "B 1 C"]]:
    """Mean and biased variance of each group of channels over P positions, one value a channel."""
    mean = _of_groups(x.mean(1), groups)
    return mean, _variance(x, mean, lambda x: _of_groups(x.mean(1), groups))


class _Settings(NamedTuple):
    groups: int
    epsilon: float
    activation: bool
    dtype: DTypeLike


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def group_norm(
    x: Float[Array, "B P C"],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    settings: _Settings,
) -> Float[Array, "B P C"]:
    """Group normalisation and SiLU (if asked); the backward pass keeps ``x`` and two statistics."""
    return _group_norm_forward(x, scale, bias, settings)[0]


def _group_norm_forward(x, scale, bias, settings: _Settings):
    wide = x.astype(jnp.float32)
    mean, variance = group_statistics(wide, settings.groups)
    inverse = jax.lax.rsqrt(variance + settings.epsilon)
    y = (wide - mean) * (inverse * scale.astype(jnp.float32)) + bias.astype(jnp.float32)
    if settings.activation:
        y = jax.nn.silu(y)
    return y.astype(settings.dtype), (x, scale, bias, mean, inverse)


def _group_norm_backward(settings: _Settings, saved, grad: Array):
    x, scale, bias, mean, inverse = saved
    wide_scale, wide = scale.astype(jnp.float32), grad.astype(jnp.float32)
    normal = (x.astype(jnp.float32) - mean) * inverse
    if settings.activation:
        y = normal * wide_scale + bias.astype(jnp.float32)
        gate = jax.nn.sigmoid(y)
        wide = wide * (gate * (1 + y * (1 - gate)))
    to_bias, to_scale = wide.sum(1), (wide * normal).sum(1)
    mean_grad = _of_groups(to_bias * wide_scale / x.shape[1], settings.groups)
    mean_product = _of_groups(to_scale * wide_scale / x.shape[1], settings.groups)
    to_x = inverse * (wide * wide_scale - mean_grad - normal * mean_product)
    return (
        to_x.astype(x.dtype),
        to_scale.sum(0).astype(scale.dtype),
        to_bias.sum(0).astype(bias.dtype),
    )


group_norm.defvjp(_group_norm_forward, _group_norm_backward)


class GroupNorm(nnx.Module):
    """Group normalisation with statistics over T, H and W together (or per frame if asked).

    The published model normalises 5-D tensors, so one group sees every frame of the clip; only the
    norms in front of attention over space are per frame.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        *,
        epsilon: float,
        per_frame: bool = False,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        del rngs
        self.scale = nnx.Param(jnp.ones((channels,), param_dtype))
        self.bias = nnx.Param(jnp.zeros((channels,), param_dtype))
        self.groups = groups
        self.epsilon = epsilon
        self.per_frame = per_frame
        self.dtype = dtype

    def __call__(self, x: Video, *, activation: bool = False) -> Video:
        """Normalises ``x``; ``activation`` applies SiLU to the result in the same pass."""
        batch = x.shape[0] * (x.shape[1] if self.per_frame else 1)
        settings = _Settings(self.groups, self.epsilon, activation, self.dtype)
        x_BPC = x.reshape(batch, -1, x.shape[-1])
        y = jnp.asarray(group_norm(x_BPC, self.scale[...], self.bias[...], settings))
        return y.reshape(x.shape)


class Unnormalised(nnx.Module):
    """In a norm's place where a network has none: its input, through SiLU if asked."""

    def __call__(self, x: Video, *, activation: bool = False) -> Video:
        return jax.nn.silu(x) if activation else x


def group_norm_or_none(channels: int, groups: int, **settings) -> GroupNorm | Unnormalised:
    """``GroupNorm(channels, groups, **settings)``, and nothing that normalises for 0 groups."""
    return GroupNorm(channels, groups, **settings) if groups else Unnormalised()


class LayerNorm(nnx.Module):
    """LayerNorm over channels, epsilon 1e-5."""

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = 1e-5,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None = None,
    ):
        del rngs
        self.scale = nnx.Param(jnp.ones((channels,), param_dtype))
        self.bias = nnx.Param(jnp.zeros((channels,), param_dtype))
        self.epsilon = epsilon
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*batch C"]) -> Float[Array, "*batch C"]:
        x = x.astype(jnp.float32)
        mean = x.mean(-1, keepdims=True)
        variance = _variance(x, mean, lambda x: x.mean(-1, keepdims=True))
        y = (x - mean) * jax.lax.rsqrt(variance + self.epsilon) * self.scale[...] + self.bias[...]
        return y.astype(self.dtype)
