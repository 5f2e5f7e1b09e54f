"""Colour fixes: give the result the colours of the (bicubically enlarged) input.

AdaIN:    (x - mean(x)) / std(x) * std(s) + mean(s),  per frame and channel              (1)
wavelet:  high(x) + low(s),  low = five dilated binomial blurs                           (2)
"""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from uav_jax.layers.resample import bicubic_matrix, resize
from uav_jax.shapes import UPSCALE, Frames

ColorFix = Literal["none", "adain", "wavelet"]
WAVELET_LEVELS = 5


def _mean_std(x: Frames) -> tuple[Array, Array]:
    mean = x.mean((1, 2), keepdims=True)
    count = x.shape[1] * x.shape[2]
    variance = jnp.square(x - mean).sum((1, 2), keepdims=True) / (count - 1)
    return mean, jnp.sqrt(variance + 1e-5)


def adain(content: Frames, style: Frames) -> Frames:
    """Equation (1): unbiased variance plus 1e-5, statistics over rows and columns."""
    content_mean, content_std = _mean_std(content)
    style_mean, style_std = _mean_std(style)
    return (content - content_mean) / content_std * style_std + style_mean


def _dilated_blur(x: Frames, dilation: int) -> Frames:
    """3x3 binomial blur with replicated borders; rows, then columns."""
    for axis in (1, 2):
        padding = [(0, 0)] * 4
        padding[axis] = (dilation, dilation)
        padded = jnp.pad(x, padding, "edge")
        size = x.shape[axis]
        parts = [
            jnp.take(padded, jnp.arange(k * dilation, k * dilation + size), axis=axis)
            for k in range(3)
        ]
        x = 0.25 * parts[0] + 0.5 * parts[1] + 0.25 * parts[2]
    return x


def low_band(x: Frames) -> Frames:
    """What is left after five blurs with dilation 1, 2, 4, 8, 16."""
    for level in range(WAVELET_LEVELS):
        x = _dilated_blur(x, 2**level)
    return x


def wavelet(content: Frames, style: Frames) -> Frames:
    """Equation (2): the content's high band on the style's low band."""
    return content - low_band(content) + low_band(style)


def bicubic_x4(low_res: Float[Array, "N h w 3"]) -> Frames:
    """The input enlarged 4 times: a = -0.75, half-pixel centres, edges clamped, not clamped in
    value."""
    return resize(low_res, UPSCALE * low_res.shape[1], UPSCALE * low_res.shape[2], bicubic_matrix)


def fix_color(result: Frames, low_res: Frames, method: ColorFix) -> Frames:
    """``result`` with the colours of the input; both in [-1, 1], the result 4 times as large."""
    if method == "none":
        return result
    return {"adain": adain, "wavelet": wavelet}[method](result, bicubic_x4(low_res))
