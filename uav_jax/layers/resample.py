"""Resampling, each function with PyTorch's exact sampling positions."""

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


def nearest(x: Float[Array, "*batch H W C"], height: int, width: int) -> Array:
    """Nearest neighbour: source index ``floor(i * in / out)``."""
    rows = np.arange(height) * x.shape[-3] // height
    columns = np.arange(width) * x.shape[-2] // width
    if height == 2 * x.shape[-3] and width == 2 * x.shape[-2]:
        return jnp.repeat(jnp.repeat(x, 2, axis=-3), 2, axis=-2)
    return jnp.take(jnp.take(x, rows, axis=-3), columns, axis=-2)


def area_matrix(source: int, target: int) -> np.ndarray:
    """Adaptive-average weights ``(target, source)``: bins floor(i s/t) to ceil((i+1) s/t)."""
    weights = np.zeros((target, source), np.float32)
    for i in range(target):
        start, stop = i * source // target, -(-(i + 1) * source // target)
        weights[i, start:stop] = 1.0 / (stop - start)
    return weights


def bilinear_matrix(source: int, target: int) -> np.ndarray:
    """Half-pixel-centre bilinear weights ``(target, source)`` without antialiasing."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    position = np.maximum(position, 0)
    low = np.minimum(position.astype(np.int64), source - 1)
    high = np.minimum(low + 1, source - 1)
    fraction = (position - low).astype(np.float32)
    weights = np.zeros((target, source), np.float32)
    np.add.at(weights, (np.arange(target), low), 1 - fraction)
    np.add.at(weights, (np.arange(target), high), fraction)
    return weights


def bicubic_matrix(source: int, target: int) -> np.ndarray:
    """Bicubic weights ``(target, source)``: a = -0.75, half-pixel centres, edges clamped."""
    a = -0.75
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    low = np.floor(position).astype(np.int64)
    weights = np.zeros((target, source), np.float64)
    for tap in range(-1, 3):
        distance = np.abs(position - (low + tap))
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = a * (((distance - 5) * distance + 8) * distance - 4)
        weight = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
        np.add.at(weights, (np.arange(target), np.clip(low + tap, 0, source - 1)), weight)
    return weights.astype(np.float32)


def resize(x: Float[Array, "*batch H W C"], height: int, width: int, matrix) -> Array:
    """Separable resize by one of the ``*_matrix`` functions: rows, then columns."""
    rows, columns = matrix(x.shape[-3], height), matrix(x.shape[-2], width)
    x = jnp.einsum("iH,...HWC->...iWC", rows, x, precision="highest")
    return jnp.einsum("jW,...iWC->...ijC", columns, x, precision="highest")


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


def _merged(kernel: Array, axis: int) -> tuple[Array, Array]:
    """What 3 weights along ``axis`` are to 2 neighbours of which one is seen twice.

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
        for below, of_rows in enumerate(_merged(kernel, 0))
        for right, both in enumerate(_merged(of_rows, 1))
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
