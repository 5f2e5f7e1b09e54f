"""Blur kernels: moments, symmetry, and the frequencies that they pass."""

import numpy as np
import pytest

from uav_jax.data.kernels import KINDS, elliptic_kernel, sinc_kernel


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_elliptic_kernels_sum_to_one_and_are_symmetric(kind, angle):
    kernel = elliptic_kernel(kind, 13, 2.0, 1.0, angle, beta=1.5)
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1])


def test_gaussian_has_its_variances_along_its_turned_axes():
    kernel = elliptic_kernel("gaussian", 41, 3.0, 1.5, np.pi / 2)
    y, x = np.mgrid[-20:21, -20:21]
    assert (kernel * y**2).sum() == pytest.approx(9.0, rel=1e-3)
    assert (kernel * x**2).sum() == pytest.approx(2.25, rel=1e-3)


def test_sinc_passes_frequencies_below_its_cutoff_only():
    response = np.abs(np.fft.fft2(sinc_kernel(61, np.pi / 2), (256, 256)))[0]
    assert abs(response[256 // 8] - 1) < 0.06  # pi / 4
    assert response[3 * 256 // 8] < 0.06  # 3 pi / 4
