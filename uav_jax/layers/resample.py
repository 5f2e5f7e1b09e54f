"""Resampling, each function with PyTorch's exact sampling positions."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import nnx
from jax.experimental.layout import Layout, with_layout_constraint
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from uav_jax.layers.conv import Conv2d, conv2d
from uav_jax.shapes import Frames, Video

DENSE_ENTRIES = 2**24
"""Entries up to which a side is resampled by a dense matrix; 1920 to 7680 pixels has 15 million."""

MOST_UNROLLED = 8
"""Taps up to which they are added one after the other."""


def nearest(x: Float[Array, "*batch H W C"], height: int, width: int) -> Array:
    """Nearest neighbour: source index ``floor(i * in / out)``."""
    rows = np.arange(height) * x.shape[-3] // height
    columns = np.arange(width) * x.shape[-2] // width
    if height == 2 * x.shape[-3] and width == 2 * x.shape[-2]:
        return jnp.repeat(jnp.repeat(x, 2, axis=-3), 2, axis=-2)
    return jnp.take(jnp.take(x, rows, axis=-3), columns, axis=-2)


class Taps(NamedTuple):
    """A sparse resampling matrix: output i is the sum over k of weights[i, k] x[indices[i, k]]."""

    indices: np.ndarray  # (target, K)
    weights: np.ndarray  # (target, K); float64 where they are added up before they are rounded

    def dense(self, source: int) -> np.ndarray:
        """The matrix ``(target, source)``, float32."""
        target, count = self.indices.shape
        weights = np.zeros((target, source), self.weights.dtype)
        for k in range(count):
            np.add.at(weights, (np.arange(target), self.indices[:, k]), self.weights[:, k])
        return weights.astype(np.float32)


def area_taps(source: int, target: int) -> Taps:
    """See ``area_matrix``."""
    i = np.arange(target)
    start, stop = i * source // target, -(-(i + 1) * source // target)
    inside = start[:, None] + np.arange((stop - start).max())
    weights = np.where(inside < stop[:, None], 1.0 / (stop - start)[:, None], 0.0)
    return Taps(np.minimum(inside, source - 1), weights.astype(np.float32))


def bilinear_taps(source: int, target: int) -> Taps:
    """See ``bilinear_matrix``."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    position = np.maximum(position, 0)
    low = np.minimum(position.astype(np.int64), source - 1)
    high = np.minimum(low + 1, source - 1)
    fraction = (position - low).astype(np.float32)
    return Taps(np.stack([low, high], 1), np.stack([1 - fraction, fraction], 1))


def bicubic_taps(source: int, target: int) -> Taps:
    """See ``bicubic_matrix``."""
    a = -0.75
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    low = np.floor(position).astype(np.int64)
    indices, weights = [], []
    for tap in range(-1, 3):
        distance = np.abs(position - (low + tap))
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = a * (((distance - 5) * distance + 8) * distance - 4)
        weights.append(np.where(distance <= 1, near, np.where(distance < 2, far, 0.0)))
        indices.append(np.clip(low + tap, 0, source - 1))
    return Taps(np.stack(indices, 1), np.stack(weights, 1))


def area_matrix(source: int, target: int) -> np.ndarray:
    """Adaptive-average weights ``(target, source)``: bins floor(i s/t) to ceil((i+1) s/t)."""
    return area_taps(source, target).dense(source)


def bilinear_matrix(source: int, target: int) -> np.ndarray:
    """Half-pixel-centre bilinear weights ``(target, source)`` without antialiasing."""
    return bilinear_taps(source, target).dense(source)


def bicubic_matrix(source: int, target: int) -> np.ndarray:
    """Bicubic weights ``(target, source)``: a = -0.75, half-pixel centres, edges clamped."""
    return bicubic_taps(source, target).dense(source)


TAPS = {area_matrix: area_taps, bilinear_matrix: bilinear_taps, bicubic_matrix: bicubic_taps}
"""The sparse form of each matrix."""


def resize(x: Float[Array, "*batch H W C"], height: int, width: int, matrix) -> Array:
    """Separable resize by one of the ``*_matrix`` functions: rows, then columns.

    Sides whose matrix would be large are gathered instead (``DENSE_ENTRIES``).
    """
    H, W = x.shape[-3:-1]
    if H * height <= DENSE_ENTRIES:
        x = jnp.einsum("iH,...HWC->...iWC", matrix(H, height), x, precision="highest")
    else:
        x = gathered(x, TAPS[matrix](H, height), -3)
    if W * width <= DENSE_ENTRIES:
        return jnp.einsum("jW,...iWC->...ijC", matrix(W, width), x, precision="highest")
    return gathered(x, TAPS[matrix](W, width), -2)


def gathered(x: Array, taps: Taps, axis: int) -> Array:
    """Resamples an axis (-3 or -2) tap by tap, in memory that grows with the result alone."""
    weights = taps.weights.astype(np.float32)[:, :, None]  # before the channels
    weights = weights[:, :, None] if axis == -3 else weights
    if taps.indices.shape[1] <= MOST_UNROLLED:
        terms = (
            jnp.take(x, taps.indices[:, k], axis=axis) * weights[:, k]
            for k in range(taps.indices.shape[1])
        )
        return functools.reduce(jnp.add, terms)
    parts = jnp.take(x, taps.indices, axis=axis)  # reductions: hardly more values than in x
    weights = jnp.asarray(taps.weights, jnp.float32)
    if axis == -3:
        return jnp.einsum("ik,...ikWC->...iWC", weights, parts, precision="highest")
    return jnp.einsum("jk,...ijkC->...ijC", weights, parts, precision="highest")


def resize_memory(source: int, target: int) -> int:
    """Bytes that enlarging one side by a bicubic kernel takes beside its input and result."""
    entries = source * target
    return 12 * entries if entries <= DENSE_ENTRIES else 24 * 4 * target


def pixel_shuffle(x: Float[Array, "*batch h w K"], factor: int) -> Float[Array, "*batch H W C"]:
    """``factor * factor * C`` channels to C channels, ``factor`` times as high and wide.

    Shi et al., CVPR 2016, with PyTorch's order of channels.
    """
    return rearrange(x, "... h w (c a b) -> ... (h a) (w b) c", a=factor, b=factor)


class Downsample(nnx.Module):
    """3x3 convolution with stride 2; ``asymmetric`` pads right and bottom only (autoencoder)."""

    def __init__(
        self,
        channels: int,
        *,
        asymmetric: bool = False,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        padding = ((0, 1), (0, 1)) if asymmetric else ((1, 1), (1, 1))
        self.conv = Conv2d(
            channels,
            channels,
            stride=2,
            padding=padding,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def __call__(self, x: Video) -> Video:
        return self.conv(x)


def _collapsed(kernel: Array, axis: int) -> tuple[Array, Array]:
    """Collapses a 3-tap kernel into the two 2-tap kernels that act on an image enlarged 2x.

    The first pixel of an enlarged pair sees (previous, own, own), the second (own, own, next).
    """
    first, middle, last = jnp.split(kernel, 3, axis)
    return (
        jnp.concatenate([first, middle + last], axis),
        jnp.concatenate([first + middle, last], axis),
    )


def _interleaved(*phases: Frames) -> Frames:
    """Pixels (0,0), (0,1), (1,0) and (1,1) of each 2x2 square, put where they belong."""
    squares = jnp.stack([jnp.stack(phases[:2], 3), jnp.stack(phases[2:], 3)], 2)
    return rearrange(squares, "n h a w b c -> n (h a) (w b) c")


def _interleaved_in_place(*phases: Frames) -> Frames:
    """The same where each convolution can write to the places of its pixels.

    Without the layout, which is that of convolutions on TPU, all would be copied there once more.
    """
    n, h, w, c = phases[0].shape
    squares = jax.lax.empty((n, h, 2, w, 2, c), phases[0].dtype)
    for i, phase in enumerate(phases):
        at = (0, 0, i // 2, 0, i % 2, 0)
        squares = jax.lax.dynamic_update_slice(squares, phase[:, :, None, :, None], at)
    squares = with_layout_constraint(squares, Layout((1, 2, 3, 4, 0, 5)))
    return squares.reshape(n, 2 * h, 2 * w, c)


def doubled_conv(x: Frames, kernel: Float[Array, "3 3 Cin Cout"]) -> Frames:
    """Nearest-neighbour enlargement x2, then a 3x3 convolution, at 4/9 of the products.

    Each of the 2x2 pixels that come from one sees 2x2 of the input's, so the weights that fall on
    one pixel are added up before.
    """
    phases = [
        conv2d(x, both, 1, ((1 - below, below), (1 - right, right)))
        for below, of_rows in enumerate(_collapsed(kernel, 0))
        for right, both in enumerate(_collapsed(of_rows, 1))
    ]
    return jax.lax.platform_dependent(*phases, tpu=_interleaved_in_place, default=_interleaved)


class Upsample(nnx.Module):
    """Nearest-neighbour enlargement (x2, or to a given size) and a 3x3 convolution."""

    def __init__(
        self, channels: int, *, dtype: DTypeLike, param_dtype: DTypeLike, rngs: nnx.Rngs | None
    ):
        self.conv = Conv2d(channels, channels, dtype=dtype, param_dtype=param_dtype, rngs=rngs)

    def __call__(self, x: Video, size: tuple[int, int] | None = None) -> Video:
        height, width = size or (2 * x.shape[2], 2 * x.shape[3])
        if (height, width) != (2 * x.shape[2], 2 * x.shape[3]):
            return self.conv(nearest(x, height, width))
        return self.conv.apply(doubled_conv, x)


class SubPixelUpsample(nnx.Module):
    """SiLU, a 3x3 convolution to four times the channels, and 2 x 2 pixels of each place.

    Shi et al., CVPR 2016.
    """

    def __init__(self, in_channels: int, out_channels: int, **settings):
        self.conv = Conv2d(in_channels, 4 * out_channels, **settings)

    def __call__(self, x: Float[Array, "B T h w Cin"]) -> Float[Array, "B T 2*h 2*w Cout"]:
        return pixel_shuffle(self.conv(jax.nn.silu(x)), 2)
