"""Schedules and DDIM: identities."""

import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.diffusion.ddim import ddim_steps, ddim_update
from uav_jax.diffusion.schedule import (
    ScheduleConfig,
    add_noise,
    alphas_cumprod,
    predict_noise,
    predict_x0,
    velocity,
)


def clip(seed):
    values = np.random.RandomState(seed).standard_normal((2, 1, 3, 3, 4))
    return jnp.asarray(values, jnp.float32)


def test_x0_and_noise_are_recovered_from_the_true_velocity():
    alphas, t = alphas_cumprod(ScheduleConfig()), jnp.array([700, 3])
    x0, noise = clip(0), clip(1)
    noisy, v = add_noise(alphas, x0, noise, t), velocity(alphas, x0, noise, t)
    a = jnp.asarray(alphas)[t].reshape(2, 1, 1, 1, 1)
    assert jnp.allclose(predict_x0(a, noisy, v), x0, atol=1e-5)
    assert jnp.allclose(predict_noise(a, noisy, v), noise, atol=1e-5)


def test_a_perfect_prediction_leads_back_to_the_clean_latents():
    alphas, x0, noise = alphas_cumprod(ScheduleConfig()), clip(0), clip(1)
    steps = ddim_steps(ScheduleConfig(), 10)
    x = add_noise(alphas, x0, noise, jnp.full(2, steps.timesteps[0]))
    for t, a, previous in zip(*steps, strict=True):
        v = velocity(alphas, x0, noise, jnp.full(2, t))
        x = ddim_update(a, previous, x, v)
    last = steps.alpha_previous[-1]
    expected = np.sqrt(last) * x0 + np.sqrt(1 - last) * noise
    assert jnp.allclose(x, expected, atol=1e-4)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_step_counts_are_refused(steps):
    with pytest.raises(ValueError, match=str(steps)):
        ddim_steps(ScheduleConfig(), steps)


@pytest.mark.parametrize("steps", [1, 999, 1000])
def test_extreme_step_counts_stay_inside_the_schedule(steps):
    plan = ddim_steps(ScheduleConfig(), steps)
    assert len(plan.timesteps) == steps
    assert plan.timesteps.min() >= 0 and plan.timesteps.max() <= 999


def test_trailing_spacing_starts_at_the_noisiest_time_and_ends_clean():
    config = ScheduleConfig(timestep_spacing="trailing")
    assert ddim_steps(config, 1).timesteps.tolist() == [999]
    steps = ddim_steps(config, 4)
    assert steps.timesteps.tolist() == [999, 749, 499, 249]
    assert np.array_equal(steps.alpha_previous[:-1], steps.alpha[1:])
    assert steps.alpha_previous[-1] == alphas_cumprod(config)[0]
    with pytest.raises(ValueError, match="timestep_spacing 'linspace'"):
        ScheduleConfig(timestep_spacing="linspace")


def test_another_prediction_type_is_refused():
    with pytest.raises(ValueError, match="epsilon"):
        ScheduleConfig.from_json({"prediction_type": "epsilon"})
