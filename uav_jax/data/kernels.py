"""Blur kernels of second-order degradation (Wang et al., Real-ESRGAN, ICCVW 2021, section 3.2).

With q = (u / sigma_x)^2 + (v / sigma_y)^2 in axes turned by an angle, r the distance in pixels:

    Gaussian     exp(-q / 2)                                                                 (1)
    generalised  exp(-q^beta / 2)                                                            (2)
    plateau      1 / (1 + q^beta)                                                            (3)
    sinc         omega J_1(omega r) / (2 pi r), omega^2 / (4 pi) at r = 0                    (4)

All are normalised to sum 1.
"""

import numpy as np
from scipy.special import j1

KINDS = ("gaussian", "generalised", "plateau")


def elliptic_kernel(
    kind: str, size: int, sigma_x: float, sigma_y: float, angle: float, beta: float = 1.0
) -> np.ndarray:
    """Equations (1) to (3), ``(size, size)``, size odd; sigmas in pixels, angle in radians."""
    y, x = _grid(size)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    q = (u / sigma_x) ** 2 + (v / sigma_y) ** 2
    if kind == "plateau":
        kernel = 1 / (1 + q**beta)
    else:
        kernel = np.exp(-0.5 * q ** (beta if kind == "generalised" else 1))
    return kernel / kernel.sum()


def sinc_kernel(size: int, cutoff: float) -> np.ndarray:
    """Equation (4): the circular low-pass filter of ``cutoff`` radians a pixel (0 to pi)."""
    y, x = _grid(size)
    r = np.hypot(x, y)
    kernel = np.full(r.shape, cutoff**2 / (4 * np.pi))
    np.divide(cutoff * j1(cutoff * r), 2 * np.pi * r, out=kernel, where=r > 0)
    return kernel / kernel.sum()


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    assert size % 2 == 1, "a kernel has a middle"
    radius = size // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    return y, x
