"""Five optimizer steps of each stage against the published networks' own training."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.parity import golden as g
from tests.parity.networks_test import small_unet, small_vae
from uav_jax.diffusion.schedule import ScheduleConfig, add_noise, alphas_cumprod, velocity
from uav_jax.training.config import OptimizerConfig
from uav_jax.training.functional import Functional
from uav_jax.training.losses import mean_absolute_error, mean_squared_error
from uav_jax.training.partition import DECODER_TEMPORAL, UNET_TEMPORAL
from uav_jax.training.step import initial_state, make_train_step
from uav_jax.weights import tables
from uav_jax.weights.engine import flat_state, to_published

LOSS_TOLERANCE = 1e-5
"""Relative; losses of float32 networks that agree to 1e-6."""
GRADIENT_TOLERANCE = 1e-4
"""Relative to the norm; a gradient sums many rounded terms."""
WEIGHT_TOLERANCE = 1e-6
"""On average: Adam turns a rounding difference of a tiny gradient into a whole step."""

ADAM = OptimizerConfig(learning_rate=1e-4, warmup_steps=0, clip_norm=None)
STEPS = 5


def taken_apart(network, partition):
    """(structure, trained parameters, frozen parameters)."""
    parameters = {name: jnp.asarray(value[...]) for name, value in flat_state(network).items()}
    structure = Functional.of(partial(type(network), network.config))
    return structure, *partition.split(parameters)


def train(trained, frozen, loss):
    """(state after five steps, losses, gradient norms)."""
    state = initial_state(trained, ADAM)
    step = jax.jit(make_train_step(loss, ADAM))
    history = []
    for _ in range(STEPS):
        state, metrics = step(state, frozen, {}, jax.random.key(0))
        history.append((float(metrics["loss"]), float(metrics["grad_norm"])))
    return state, *np.array(history).T


@pytest.fixture(scope="module")
def unet():
    """(golden values, trained, frozen, loss)."""
    values = g.arrays("train_unet")
    B, T, H, W = values["shape"]
    structure, trained, frozen = taken_apart(small_unet(), UNET_TEMPORAL)
    latents, noise = (g.last(g.random_input(n, (B, 4, T, H, W))) for n in ("train_z", "train_eps"))
    low_res = 0.5 * g.last(g.random_input("train_lr", (B, 3, T, H, W)))
    low_noise = g.last(g.random_input("train_lr_noise", (B, 3, T, H, W)))
    text = g.random_input("train_ctx", (B, 77, 48))
    times, levels = jnp.asarray(values["timesteps"]), jnp.asarray(values["noise_levels"])
    alphas = alphas_cumprod(ScheduleConfig())

    def loss(trained, frozen, batch, key, step):
        network = structure.bind({**trained, **frozen})
        prediction = network(
            add_noise(alphas, latents, noise, times),
            add_noise(alphas, low_res, low_noise, levels),
            times,
            levels,
            text,
        )
        return mean_squared_error(prediction, velocity(alphas, latents, noise, times)), {}

    return values, trained, frozen, loss


def test_temporal_training_has_the_published_losses_and_weights(unet):
    values, trained, frozen, loss = unet
    assert sum(v.size for v in trained.values()) == 2_383_456
    state, losses, norms = train(trained, frozen, loss)
    assert losses == pytest.approx(values["losses"], rel=LOSS_TOLERANCE)
    assert norms == pytest.approx(values["grad_norms"], rel=GRADIENT_TOLERANCE)
    final = to_published(tables.UNET, jax.device_get({**frozen, **state.trained}))
    for i, name in enumerate(values["final_names"]):
        error = np.abs(final[name] - values[f"final_{i}"]).mean()
        assert error <= WEIGHT_TOLERANCE, name


def test_every_temporal_parameter_has_the_published_gradient(unet):
    values, trained, frozen, loss = unet
    gradient = jax.jit(jax.grad(lambda t: loss(t, frozen, {}, None, None)[0]))(trained)
    still = {name: np.zeros(v.shape, v.dtype) for name, v in frozen.items()}
    ours = to_published(tables.UNET, {**still, **jax.device_get(gradient)})
    scale = values["param_grad_norms"].max()
    assert len(values["param_grad_names"]) == len(gradient)
    for name, norm in zip(values["param_grad_names"], values["param_grad_norms"], strict=True):
        assert abs(np.linalg.norm(ours[name]) - norm) <= GRADIENT_TOLERANCE * scale, name


def test_decoder_training_has_the_published_losses():
    values = g.arrays("train_vae_video")
    structure, trained, frozen = taken_apart(small_vae("vae_video"), DECODER_TEMPORAL)
    assert len(trained) == len(values["trained"])
    latents = g.last(g.random_input("train_vae_z", (1, 4, 3, 8, 8)))
    low_res = 0.5 * g.last(g.random_input("train_vae_img", (1, 3, 3, 8, 8)))
    target = 0.5 * g.last(g.random_input("train_vae_gt", (1, 3, 3, 32, 32)))

    def loss(trained, frozen, batch, key, step):
        decoded = structure.bind({**trained, **frozen}).decode(latents, low_res)
        return mean_absolute_error(decoded, target), {}

    _, losses, norms = train(trained, frozen, loss)
    assert losses == pytest.approx(values["losses"], rel=LOSS_TOLERANCE)
    assert norms == pytest.approx(values["grad_norms"], rel=GRADIENT_TOLERANCE)
