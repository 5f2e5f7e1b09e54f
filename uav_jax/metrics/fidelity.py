"""Fidelity to a reference, on 8-bit RGB frames: PSNR and SSIM (Wang et al., IEEE TIP 2004).

    SSIM = (2 m_x m_y + c1)(2 s_xy + c2) / ((m_x^2 + m_y^2 + c1)(s_x^2 + s_y^2 + c2))         (1)

with Gaussian-weighted means m and (co)variances s (sigma 1.5, 11 x 11), c1 = (0.01 * 255)^2 and
c2 = (0.03 * 255)^2, averaged over the positions where the window is whole. ``rgb`` means all three
channels, ``luma`` BT.601 in studio range (16 to 235), as MATLAB's ``rgb2ycbcr`` and most papers
have it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

PEAK = 255.0
RADIUS, SIGMA = 5, 1.5

_LUMA = np.array([65.481, 128.553, 24.966], np.float32) / 255
_WINDOW = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
_WINDOW /= _WINDOW.sum()


def luma(frames: UInt8[Array, "T H W 3"]) -> Float[Array, "T H W 1"]:
    """Y in 16 to 235."""
    return 16 + jnp.sum(frames * _LUMA, -1, keepdims=True)


@jax.jit
def psnr(result: UInt8[Array, "T H W 3"], truth: UInt8[Array, "T H W 3"]) -> Float[Array, " T"]:
    """Peak signal-to-noise ratio of each frame over all three channels of RGB, in dB."""
    return _psnr(result.astype(jnp.float32), truth.astype(jnp.float32))


@jax.jit
def luma_psnr(
    result: UInt8[Array, "T H W 3"], truth: UInt8[Array, "T H W 3"]
) -> Float[Array, " T"]:
    """PSNR of each frame on luma, peak 255, in dB."""
    return _psnr(luma(result), luma(truth))


def _psnr(x: Array, y: Array) -> Array:
    error = jnp.maximum(jnp.mean(jnp.square(x - y), (1, 2, 3)), 1e-9)
    return 10 * jnp.log10(PEAK**2 / error)


@jax.jit
def ssim(result: UInt8[Array, "T H W 3"], truth: UInt8[Array, "T H W 3"]) -> Float[Array, " T"]:
    """Equation (1) for each frame, mean over RGB; frames of at least 11 x 11."""
    return _ssim(result.astype(jnp.float32), truth.astype(jnp.float32))


@jax.jit
def luma_ssim(
    result: UInt8[Array, "T H W 3"], truth: UInt8[Array, "T H W 3"]
) -> Float[Array, " T"]:
    """Equation (1) for each frame on luma."""
    return _ssim(luma(result), luma(truth))


def _smoothed(x: Array) -> Array:
    """The Gaussian mean wherever its window is whole."""
    for axis in (1, 2):
        length = x.shape[axis] - 2 * RADIUS
        parts = (jax.lax.slice_in_dim(x, i, i + length, axis=axis) for i in range(len(_WINDOW)))
        x = sum(float(w) * part for w, part in zip(_WINDOW, parts, strict=True))  # pyright: ignore
    return x


def _ssim(x: Array, y: Array) -> Array:
    # Around mid grey, squares lose less in float32; variances do not change.
    x, y = x - 128, y - 128
    mean_x, mean_y = _smoothed(x), _smoothed(y)
    var_x = _smoothed(x * x) - mean_x**2
    var_y = _smoothed(y * y) - mean_y**2
    covariance = _smoothed(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + 128, mean_y + 128
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return jnp.mean(similarity, (1, 2, 3))
