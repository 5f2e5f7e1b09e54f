"""Normalisation layers. Statistics are always float32."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from uav_jax.layers.conv import laid_out_for_images
from uav_jax.layers.linear import Parts, add_bias, cuts
from uav_jax.shapes import Video


def _of_groups(values: Array, groups: int) -> Array:
    """Each channel's value replaced by its group's mean: ``(..., C)``."""
    size = values.shape[-1] // groups
    means = values.reshape(*values.shape[:-1], groups, size).mean(-1)
    return jnp.repeat(means, size, axis=-1)


def group_statistics(
    parts: Parts, groups: int
) -> tuple[Float[Array, "B 1 C"], Float[Array, "B 1 C"]]:
    """Mean and biased variance of each group of channels over P positions, one value a channel.

    ``parts`` are ``(B, P, c)``, C channels together: each is summed by itself, where it was made.
    Accelerators take the mean of squares, whose sums can be made where ``x`` is, without reading it
    again. CPUs gain nothing from that, and it costs digits: they take squares of deviations.
    """

    def average(parts: Parts) -> Array:
        means = [part.mean(1, keepdims=True) for part in parts]
        return _of_groups(jnp.concatenate(means, -1), groups)

    def of_deviations(parts: Parts) -> tuple[Array, Array]:
        mean = average(parts)
        centres = jnp.split(mean, cuts(parts), -1)
        return mean, average([jnp.square(p - m) for p, m in zip(parts, centres, strict=True)])

    def of_squares(parts: Parts) -> tuple[Array, Array]:
        sums = jnp.concatenate([jnp.stack([p.sum(1), jnp.square(p).sum(1)]) for p in parts], -1)
        size = sums.shape[-1] // groups
        count = size * parts[0].shape[1]
        of_groups = sums.reshape(*sums.shape[:-1], groups, size).sum(-1)
        mean, square = (jnp.repeat(x, size, axis=-1)[:, None] / count for x in of_groups)
        return mean, jnp.maximum(square - jnp.square(mean), 0)

    return jax.lax.platform_dependent(parts, cpu=of_deviations, default=of_squares)


class _Settings(NamedTuple):
    groups: int
    epsilon: float
    activation: bool
    dtype: DTypeLike
    images: tuple[int, int, int] | None = None  # T, H, W of what a convolution over images reads


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def group_norm(
    parts: Parts,
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    settings: _Settings,
) -> Float[Array, "B P C"]:
    """Group normalisation and SiLU (if asked) of C channels that may come in parts.

    The backward pass keeps the parts and two statistics.
    """
    return _group_norm_forward(parts, scale, bias, settings)[0]


def _group_norm_forward(parts, scale, bias, settings: _Settings):
    wide_parts = [part.astype(jnp.float32) for part in parts]
    mean, variance = group_statistics(wide_parts, settings.groups)
    inverse = jax.lax.rsqrt(variance + settings.epsilon)
    wide = jnp.concatenate([_moved(part, settings.images) for part in wide_parts], -1)
    y = (wide - mean) * (inverse * scale.astype(jnp.float32)) + bias.astype(jnp.float32)
    if settings.activation:
        y = jax.nn.silu(y)
    return y.astype(settings.dtype), (parts, scale, bias, mean, inverse)


def _moved(wide: Array, images: tuple[int, int, int] | None) -> Array:
    """Float32 values to where a convolution over ``images`` wants them.

    By its compiler's estimate a TPU moves them in a quarter of the time that 16 bits take.
    """
    if images is None:
        return wide
    return laid_out_for_images(wide.reshape(len(wide), *images, -1)).reshape(wide.shape)


def _group_norm_backward(settings: _Settings, saved, grad: Array):
    parts, scale, bias, mean, inverse = saved
    x = jnp.concatenate(parts, -1)
    wide_scale, wide = scale.astype(jnp.float32), grad.astype(jnp.float32)
    normal = (x.astype(jnp.float32) - mean) * inverse
    if settings.activation:
        y = normal * wide_scale + bias.astype(jnp.float32)
        gate = jax.nn.sigmoid(y)
        wide = wide * (gate * (1 + y * (1 - gate)))
    to_bias, to_scale = wide.sum(1), (wide * normal).sum(1)
    sums = jnp.stack([to_bias, to_scale]) * wide_scale / x.shape[1]
    mean_grad, mean_product = _of_groups(sums, settings.groups)[:, :, None]
    to_x = inverse * (wide * wide_scale - mean_grad - normal * mean_product)
    return (
        tuple(jnp.split(to_x.astype(x.dtype), cuts(parts), -1)),
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
        del rngs, param_dtype  # few values, computed with in float32, are stored so
        self.scale = nnx.Param(jnp.ones((channels,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.groups = groups
        self.epsilon = epsilon
        self.per_frame = per_frame
        self.dtype = dtype

    def __call__(
        self,
        *parts: Video,
        activation: bool = False,
        channels: slice = slice(None),
        among_tokens: bool = False,
    ) -> Video:
        """Normalises ``parts`` along the channels; ``activation`` applies SiLU to the result.

        ``channels`` are those that are given, if not all: whole groups. ``among_tokens`` says that
        the parts lie as tokens do, and that a convolution over images follows (not per frame).
        """
        B, T, H, W, _ = parts[0].shape
        batch = B * T if self.per_frame else B
        scale, bias = self.scale[...][channels], self.bias[...][channels]
        groups = self.groups * len(scale) // len(self.scale[...])
        images = (T, H, W) if among_tokens else None
        settings = _Settings(groups, self.epsilon, activation, self.dtype, images)
        flat = tuple(part.reshape(batch, -1, part.shape[-1]) for part in parts)
        y = jnp.asarray(group_norm(flat, scale, bias, settings))
        return y.reshape(B, T, H, W, -1)


class Unnormalised(nnx.Module):
    """In a norm's place where a network has none: its input, through SiLU if asked."""

    groups = 0

    def __call__(self, *parts: Video, activation: bool = False, **_) -> Video:
        x = jnp.concatenate(parts, -1)
        return jax.nn.silu(x) if activation else x


def group_norm_or_none(channels: int, groups: int, **settings) -> GroupNorm | Unnormalised:
    """``GroupNorm(channels, groups, **settings)``, and nothing that normalises for 0 groups."""
    return GroupNorm(channels, groups, **settings) if groups else Unnormalised()


def _layer_statistics(x: Array, epsilon: float) -> tuple[Array, Array]:
    """Mean and inverse deviation over the last axis of float32 values, as for groups."""
    mean = x.mean(-1, keepdims=True)
    variance = jax.lax.platform_dependent(
        x,
        mean,
        cpu=lambda x, mean: jnp.square(x - mean).mean(-1, keepdims=True),
        default=lambda x, mean: jnp.maximum(
            jnp.square(x).mean(-1, keepdims=True) - jnp.square(mean), 0
        ),
    )
    return mean, jax.lax.rsqrt(variance + epsilon)


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
        del rngs, param_dtype  # as for groups
        self.scale = nnx.Param(jnp.ones((channels,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.epsilon = epsilon
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*batch C"]) -> Float[Array, "*batch C"]:
        return _layer_norm(x, self.scale[...], self.bias[...], self.epsilon, self.dtype)

    def folded(
        self, x: Float[Array, "*batch C"], kernel: Float[Array, "C c"], bias: Array | None
    ) -> Float[Array, "*batch c"]:
        """The normalised ``x`` times ``kernel`` with the norm in the kernel and behind the product.

            norm(x) W + b  =  (x (g W) - mean (sum of the rows of g W)) / deviation + (h W + b)

        for the norm's scale g and bias h. What a matrix unit reads is ``x`` itself: the normalised
        values are neither written nor made again for each block of columns. Where a row has few
        places, what that saves is less than reading the kernel twice more: the norm stays in front.
        """
        inputs = (x, self.scale[...], self.bias[...], kernel, bias)
        few = math.prod(x.shape[1:-1]) < FOLDED_FROM * x.shape[-1]
        product = _in_front if few else _folded
        return jnp.asarray(product(*inputs, self.epsilon, self.dtype))


FOLDED_FROM = 8
"""Places of a row, in channels, from which a norm is folded into what follows."""


def _layer_norm(x, scale, shift, epsilon: float, dtype: DTypeLike) -> Array:
    x = x.astype(jnp.float32)
    mean, inverse = _layer_statistics(x, epsilon)
    return ((x - mean) * inverse * scale + shift).astype(dtype)


def _in_front(x, scale, shift, kernel, bias, epsilon: float, dtype: DTypeLike) -> Array:
    y = _layer_norm(x, scale, shift, epsilon, dtype) @ kernel
    return y if bias is None else add_bias(y, bias)


@partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def _folded(x, scale, shift, kernel, bias, epsilon: float, dtype: DTypeLike) -> Array:
    mean, inverse = _layer_statistics(x.astype(jnp.float32), epsilon)
    scaled = (scale.astype(jnp.float32)[:, None] * kernel).astype(kernel.dtype)
    added = shift.astype(jnp.float32) @ kernel.astype(jnp.float32)
    if bias is not None:
        added = added + bias
    y = jnp.matmul(x.astype(kernel.dtype), scaled, preferred_element_type=jnp.float32)
    y = (y - mean * scaled.astype(jnp.float32).sum(0)) * inverse + added
    return y.astype(dtype)


def _folded_backward(epsilon: float, dtype: DTypeLike, inputs: tuple, grad: Array) -> tuple:
    """Of the norm in front: its output is made again, and nothing wide is kept."""

    def in_front(x, scale, shift, kernel, bias):
        return _in_front(x, scale, shift, kernel, bias, epsilon, dtype)

    return jax.vjp(in_front, *inputs)[1](grad)


_folded.defvjp(lambda *args: (_folded(*args), args[:5]), _folded_backward)
