"""Degradation: each operation against its definition, the whole against its promises."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from uav_jax.data import degradation as d
from uav_jax.data.degradation import DegradationConfig, PassConfig
from uav_jax.data.kernels import elliptic_kernel


def clip(frames=4, height=64, width=72):
    y, x = np.mgrid[:height, :width]
    rows = [
        127 + 90 * np.sin(x / 5 + t / 3 + c) * np.cos(y / 6)
        for t in range(frames)
        for c in range(3)
    ]
    return np.stack(rows).reshape(frames, 3, height, width).transpose(0, 2, 3, 1).astype(np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("config", [DegradationConfig(), DegradationConfig.mild()])
def test_the_result_is_a_quarter_of_the_size_and_depends_on_the_generator_alone(config):
    for seed in range(6):
        first = d.degrade(clip(), config, rng(seed))
        assert first.shape == (4, 16, 18, 3) and first.dtype == np.uint8
        np.testing.assert_array_equal(first, d.degrade(clip(), config, rng(seed)))
    assert not np.array_equal(first, d.degrade(clip(), config, rng(99)))


def test_the_published_pipeline_is_worse_than_the_mild_one():
    def error(config):
        target = d.resize(clip(), 18, 16, Image.Resampling.BOX).astype(float)
        return np.mean(
            [np.abs(d.degrade(clip(), config, rng(s)) - target).mean() for s in range(12)]
        )

    assert error(DegradationConfig()) > 1.3 * error(DegradationConfig.mild())


@pytest.mark.parametrize("probability", [0.25, 1.0])
def test_some_clips_are_only_reduced(probability):
    config = replace(DegradationConfig.mild(), clean_probability=probability)
    reduced = d.resize(clip(), 18, 16, Image.Resampling.BICUBIC)
    same = [np.array_equal(d.degrade(clip(), config, rng(s)), reduced) for s in range(40)]
    assert abs(np.mean(same) - probability) < 0.2


def test_blur_equals_direct_convolution_with_each_frames_kernel():
    frames = clip(2, 20, 24).astype(np.float32)
    kernels = np.stack([elliptic_kernel("gaussian", 7, s, 1.0, 0.4) for s in (0.7, 2.0)])
    out = d.blur(frames, kernels)
    padded = np.pad(frames, ((0, 0), (3, 3), (3, 3), (0, 0)), "reflect")
    for t, (y, x) in [(0, (0, 0)), (1, (11, 5)), (1, (19, 23))]:
        window = padded[t, y : y + 7, x : x + 7]
        expected = (window * kernels[t, ::-1, ::-1, None]).sum((0, 1))
        np.testing.assert_allclose(out[t, y, x], expected, atol=1e-2)


def test_drift_stays_in_bounds_and_moves_slowly():
    values = d.drifting(rng(), (2.0, 6.0), 500, 0.05)
    assert values.min() >= 2 and values.max() <= 6 and np.ptp(values) > 1
    assert np.abs(np.diff(values)).max() <= 0.05 * 4 + 1e-9


def test_noise_has_the_deviation_asked_for_and_is_new_in_every_frame():
    flat = np.full((3, 80, 80, 3), 128, np.uint8)
    noisy = d.gaussian_noise(flat, np.array([2.0, 8.0, 8.0]), False, rng()) - 128.0
    assert noisy[0].std() == pytest.approx(2, rel=0.05)
    assert noisy[1].std() == pytest.approx(8, rel=0.05)
    assert np.abs(noisy[1] - noisy[2]).mean() > 4
    grey = d.gaussian_noise(flat, np.array([5.0] * 3), True, rng())
    assert np.ptp(grey, axis=-1).max() == 0


def test_poisson_noise_grows_with_brightness():
    # 256 photons at full scale: variance (level / 255 * 256) photons, scaled back to 255.
    for level in (30, 200):
        flat = np.full((1, 120, 120, 3), level, np.uint8)
        noisy = d.poisson_noise(flat, np.array([1.0]), False, rng()) - float(level)
        assert noisy.std() == pytest.approx(np.sqrt(level / 255 * 256) * 255 / 256, rel=0.04)


@pytest.mark.parametrize(
    "codec, weak, strong",
    [
        ("libx264", {"crf": 10}, {"crf": 40}),
        ("libx264", {"bit_rate": 4_000_000}, {"bit_rate": 30_000}),
        ("mpeg4", {"bit_rate": 4_000_000}, {"bit_rate": 30_000}),
    ],
)
def test_video_compression_keeps_shape_and_loses_more_when_asked(codec, weak, strong):
    noisy = d.to_bytes(d.gaussian_noise(clip(30, 63, 65), np.full(30, 12.0), False, rng()))
    errors = []
    for options in (weak, strong):
        out = d.compress(noisy, codec, **options)
        assert out.shape == noisy.shape
        errors.append(np.abs(out.astype(int) - noisy)[20:].mean())  # rate control has settled
    assert errors[1] > 1.3 * errors[0]


def test_jpeg_quality_is_per_frame():
    same = np.repeat(clip(1), 2, axis=0)
    out = d.jpeg(same, [10, 95])
    error = np.abs(out.astype(int) - same).mean((1, 2, 3))
    assert error[0] > 2 * error[1]


def test_a_pass_that_does_nothing_returns_the_clip():
    still = PassConfig(
        blur_probability=0, noise_probability=0, jpeg_probability=0, resize=(0, 0, 1)
    )
    np.testing.assert_array_equal(d.degrade_once(clip(), still, (64, 72), 0.0, rng()), clip())


def test_degraded_targets_keep_their_size_and_lose_detail():
    target = d.degrade_target(clip(), rng())
    assert target.shape == clip().shape
    assert (
        np.abs(np.diff(target.astype(int), axis=2)).mean()
        < np.abs(np.diff(clip().astype(int), axis=2)).mean()
    )


def test_compression_is_the_same_whatever_was_in_memory_before():
    rng, clips = np.random.default_rng(0), np.random.default_rng(1)
    clip = clips.integers(0, 256, (2, 24, 24, 3), np.uint8)
    first = d.compress(clip, bit_rate=20_000)
    for _ in range(150):
        other = rng.integers(0, 256, (2, *rng.integers(8, 40, 2), 3), np.uint8)
        d.compress(other, "mpeg4", bit_rate=20_000)
        assert np.array_equal(d.compress(clip, bit_rate=20_000), first)
