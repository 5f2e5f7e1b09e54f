"""Fidelity to a reference, on 8-bit RGB frames."""

from typing import Any

import numpy as np
from jaxtyping import UInt8


def psnr(result: UInt8[np.ndarray, "T H W 3"], truth: UInt8[np.ndarray, "T H W 3"]) -> np.ndarray:
    """Peak signal-to-noise ratio of each frame over all three channels of RGB, in dB."""
    difference = result.astype(np.float64) - truth
    error = np.maximum(np.square(difference).mean((1, 2, 3)), 1e-9)
    return 10 * np.log10(255.0**2 / error)


def luma(frames: UInt8[np.ndarray, "T H W 3"]) -> np.ndarray:
    """Y of BT.601 in studio range (16 to 235), as MATLAB's ``rgb2ycbcr`` and most papers use it."""
    return 16 + frames @ (np.array([65.481, 128.553, 24.966]) / 255)


def luma_psnr(
    result: UInt8[np.ndarray, "T H W 3"], truth: UInt8[np.ndarray, "T H W 3"]
) -> np.ndarray:
    """PSNR of each frame on luma, peak 255, in dB."""
    error = np.maximum(np.square(luma(result) - luma(truth)).mean((1, 2)), 1e-9)
    return 10 * np.log10(255.0**2 / error)


def ssim(result: UInt8[np.ndarray, "T H W 3"], truth: UInt8[np.ndarray, "T H W 3"]) -> np.ndarray:
    """Structural similarity of each frame, mean over RGB (scikit-image, Gaussian window)."""
    from skimage.metrics import structural_similarity

    options: dict[str, Any] = {
        "channel_axis": -1,
        "data_range": 255,
        "gaussian_weights": True,
        "sigma": 1.5,
    }
    pairs = zip(result, truth, strict=True)
    return np.array(
        [structural_similarity(a, b, use_sample_covariance=False, **options) for a, b in pairs]
    )
