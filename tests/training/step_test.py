"""The optimizer step against hand-computed cases."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.training.config import OptimizerConfig
from uav_jax.training.losses import change_error, mean_squared_error, min_snr_weight
from uav_jax.training.standardise import standardised
from uav_jax.training.step import initial_state, learning_rate, make_train_step

KEY = jax.random.key(0)
PLAIN = OptimizerConfig(learning_rate=0.1, warmup_steps=0, clip_norm=None, ema_decay=0.9)

BIAS_CORRECTION = 3e-6
"""1 - 0.999^2 in float32 is off by 3e-5 of itself, and a step of 0.1 by half of that."""


def quadratic(trained, frozen, batch, key, step):
    return jnp.sum(frozen["scale"] * jnp.square(trained["w"] - batch["target"])), {}


def run(config, steps):
    state = initial_state({"w": jnp.array([1.0, -2.0])}, config)
    step = jax.jit(make_train_step(quadratic, config))
    frozen, batch = {"scale": jnp.array(2.0)}, {"target": jnp.array([0.0, 1.0])}
    history = []
    for _ in range(steps):
        state, metrics = step(state, frozen, batch, KEY)
        history.append(metrics)
    return state, history


def test_adams_first_step_moves_by_the_learning_rate_against_the_gradients_sign():
    state, history = run(PLAIN, 1)
    assert state.trained["w"] == pytest.approx(np.array([0.9, -1.9]), abs=1e-6)
    assert float(history[0]["loss"]) == pytest.approx(2 * (1 + 9))
    assert float(history[0]["grad_norm"]) == pytest.approx(float(np.hypot(4, 12)))
    assert int(state.step) == 1


def test_parameters_that_a_factor_names_move_further():
    state, _ = run(dataclasses.replace(PLAIN, rate_factors=(("^v", 9.0), ("w", 3.0))), 1)
    assert state.trained["w"] == pytest.approx(np.array([0.7, -1.7]), abs=1e-5)


def test_two_adam_steps_equal_the_formula():
    state, _ = run(PLAIN, 2)
    w, target = np.array([1.0, -2.0]), np.array([0.0, 1.0])
    m = v = np.zeros(2)
    for t in (1, 2):
        gradient = 4 * (w - target)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert state.trained["w"] == pytest.approx(w, abs=BIAS_CORRECTION)


def test_the_average_follows_with_its_warm_start():
    state, _ = run(PLAIN, 1)
    expected = 0.1 * np.array([1.0, -2.0]) + 0.9 * np.asarray(state.trained["w"])
    assert state.average["w"] == pytest.approx(expected, abs=1e-6)


def test_warm_up_scales_the_first_steps():
    config = OptimizerConfig(learning_rate=0.1, warmup_steps=10, clip_norm=None)
    state, _ = run(config, 1)
    assert state.trained["w"] == pytest.approx(np.array([0.99, -1.99]), abs=1e-6)


def mean_quadratic(trained, frozen, batch, key, step):
    error = jnp.square(trained["w"] - batch["target"]).sum(-1)
    return frozen["scale"] * error.mean(), {"largest": error.mean()}


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_give_the_gradient_of_the_whole_batch(parts):
    frozen = {"scale": jnp.array(2.0)}
    batch = {"target": jax.random.normal(KEY, (8, 2))}
    results = []
    for accumulate in (1, parts):
        state = initial_state({"w": jnp.array([1.0, -2.0])}, PLAIN)
        step = jax.jit(make_train_step(mean_quadratic, PLAIN, accumulate))
        results.append(step(state, frozen, batch, KEY))
    (whole, metrics), (split, split_metrics) = results
    assert split.trained["w"] == pytest.approx(np.asarray(whole.trained["w"]), abs=1e-6)
    for name, value in metrics.items():
        assert float(split_metrics[name]) == pytest.approx(float(value), rel=1e-6)


def test_the_rate_falls_to_zero_after_the_warm_up():
    config = OptimizerConfig(learning_rate=0.1, warmup_steps=10, decay_steps=20)
    rates = [float(learning_rate(config)(step)) for step in (0, 5, 10, 20, 30, 40)]
    assert rates == pytest.approx([0.01, 0.055, 0.1, 0.05, 0.0, 0.0])


def test_the_change_error_sees_flicker_and_not_a_constant_error():
    target = jnp.asarray(np.random.RandomState(0).uniform(-1, 1, (1, 3, 4, 4, 3)))
    flicker = jnp.asarray([0.0, 0.2, -0.1])[None, :, None, None, None]
    assert change_error(target + 0.3, target) == pytest.approx(0, abs=1e-6)
    assert change_error(target + flicker, target) == pytest.approx(0.25)


def test_min_snr_weights_equal_the_formula():
    alpha = jnp.array([0.5, 0.99, 0.01])  # SNR 1, 99, 1 / 99
    assert min_snr_weight(alpha, 5.0) == pytest.approx(np.array([0.5, 0.05, 0.01]), rel=1e-5)


def test_weights_scale_examples_of_the_squared_error():
    prediction, target = jnp.ones((2, 1, 2, 2, 4)), jnp.zeros((2, 1, 2, 2, 4))
    assert float(mean_squared_error(prediction, target)) == 1
    assert float(mean_squared_error(prediction, target, jnp.array([0.5, 2.0]))) == 1.25


def test_standardised_latents_leave_the_autoencoder_the_same_function():
    rng = np.random.RandomState(0)
    c = 4
    parameters = {
        "quant_conv.kernel": rng.standard_normal((1, 1, 2 * c, 2 * c)),
        "quant_conv.bias": rng.standard_normal(2 * c),
        "post_quant_conv.kernel": rng.standard_normal((1, 1, c, c)),
        "post_quant_conv.bias": rng.standard_normal(c),
    }
    mean, deviation = rng.standard_normal(c), rng.uniform(0.5, 4, c)
    after = standardised(parameters, mean, deviation)

    def latents(p, h):
        return (h @ p["quant_conv.kernel"][0, 0] + p["quant_conv.bias"])[..., :c]

    def decoded(p, z):
        return z @ p["post_quant_conv.kernel"][0, 0] + p["post_quant_conv.bias"]

    h = rng.standard_normal((50, 2 * c))
    z, z_after = latents(parameters, h), latents(after, h)
    assert np.allclose(z_after, (z - mean) / deviation)
    assert np.allclose(decoded(after, z_after), decoded(parameters, z))
