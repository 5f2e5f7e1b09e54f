"""Schedules, warping, propagation and colour against the published implementation."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.parity import golden as g
from uav_jax.diffusion.ddim import ddim_steps, ddim_update
from uav_jax.diffusion.schedule import (
    ScheduleConfig,
    add_noise,
    alphas_cumprod,
    predict_x0,
    velocity,
)
from uav_jax.layers import resample
from uav_jax.layers.resample import DENSE_ENTRIES, area_matrix, resize
from uav_jax.motion.propagation import PropagationConfig, propagate
from uav_jax.motion.warp import consistency_mask, warp
from uav_jax.pipeline.color import adain, bicubic_x4, wavelet

TOLERANCE = g.NETWORK_TOLERANCE


def test_alphas_are_the_published_ones():
    expected = g.arrays("schedulers")["alphas_cumprod"]
    assert g.difference(alphas_cumprod(ScheduleConfig()), expected) <= TOLERANCE


def test_timesteps_and_every_stored_ddim_step():
    values = g.arrays("schedulers")
    shape = (1, 4, 2, 6, 5)
    v, x = (g.last(g.random_input(name, shape)) for name in ("ddim_v", "ddim_x"))
    checked = 0
    for key in values:
        if key.startswith("timesteps_"):
            steps = ddim_steps(ScheduleConfig(), int(key.rsplit("_", 1)[1]))
            assert np.array_equal(steps.timesteps, values[key])
        if key.startswith("x0_"):
            _, count, i = key.split("_")
            steps = ddim_steps(ScheduleConfig(), int(count))
            a, a_previous = steps.alpha[int(i)], steps.alpha_previous[int(i)]
            x0 = predict_x0(a, x, v)
            assert g.difference(g.first(x0), values[key]) <= TOLERANCE
            previous = ddim_update(a, a_previous, x, v, 0.9 * x0)
            assert g.difference(g.first(previous), values[f"prev_{count}_{i}"]) <= TOLERANCE
            checked += 1
    assert checked


def test_low_resolution_noise_and_velocity():
    values, alphas = g.arrays("schedulers"), alphas_cumprod(ScheduleConfig())
    shape = (1, 3, 2, 6, 5)
    image, noise = (g.last(g.random_input(name, shape)) for name in ("low_img", "low_noise"))
    levels = [key for key in values if key.startswith("low_res_")]
    assert levels
    for key in levels:
        noised = add_noise(alphas, image, noise, jnp.array([int(key[8:])]))
        assert g.difference(g.first(noised), values[key]) <= TOLERANCE
    v = velocity(alphas, image, noise, jnp.array([321]))
    assert g.difference(g.first(v), values["velocity"]) <= TOLERANCE


@pytest.mark.parametrize(
    "key, options",
    [
        ("bilinear", {}),
        ("nearest", {"sampling": "nearest"}),
        ("border", {"outside": "border"}),
    ],
)
def test_warp_samples_like_grid_sample(key, options):
    values = g.arrays("warp")
    x = jnp.asarray(g.last(g.random_input("warp_x", values[key].shape)))
    assert g.difference(g.first(warp(x, values["flow"], **options)), values[key]) <= TOLERANCE


@pytest.mark.parametrize("case", g.cases("propagation"))
def test_propagation_and_its_mask(case):
    values = g.arrays(f"propagation_{case}")
    forward, backward = (g.last(values[f"flows_{d}"]) for d in ("forward", "backward"))
    keys = [key for key in values if key.startswith(("nearest_", "bilinear_"))]
    assert keys
    for key in keys:
        sampling, mode, *loose = key.split("_")
        options = {"fuse_weight": 0.3, "alpha1": 0.01, "alpha2": 0.5} if loose else {}
        config = PropagationConfig(sampling=sampling, mode=mode, **options)
        x = jnp.asarray(g.last(g.random_input(f"prop_x_{case}", values[key].shape)))
        result = propagate(x, jnp.asarray(forward), jnp.asarray(backward), config)
        limit = 0 if sampling == "nearest" else TOLERANCE
        assert g.difference(g.first(result), values[key]) <= limit
    mask = np.asarray(consistency_mask(forward[:, 0], backward[:, 0]))
    assert np.array_equal(mask[..., 0], values["mask0"].reshape(mask.shape[:-1]))
    assert mask.mean() == pytest.approx(float(values["valid"]), rel=1e-6)


@pytest.mark.parametrize("dense_entries", [DENSE_ENTRIES, 0])
def test_colour_fixes_and_resizing(dense_entries, monkeypatch):
    monkeypatch.setattr(resample, "DENSE_ENTRIES", dense_entries)  # 0: by taps
    values = g.arrays("color")
    content = 0.4 * g.last(g.random_input("cc_content", values["adain"].shape))
    style = 0.5 * g.last(g.random_input("cc_style", values["adain"].shape)) + 0.2
    small = values["bicubic_x4"].shape
    low_res = 0.5 * g.last(g.random_input("cc_lr", (*small[:2], small[2] // 4, small[3] // 4)))
    results = {
        "adain": adain(content, style),
        "wavelet": wavelet(content, style),
        "bicubic_x4": bicubic_x4(low_res),
        "area_quarter": resize(content, *values["area_quarter"].shape[2:], area_matrix),
    }
    for key, result in results.items():
        assert g.difference(g.first(result), values[key]) <= TOLERANCE, key
