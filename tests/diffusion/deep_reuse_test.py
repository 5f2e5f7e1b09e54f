"""Deep features of one step used again at the next."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from tests.training.tiny import UNET, drawn
from uav_jax.diffusion import sampler
from uav_jax.diffusion.ddim import ddim_steps
from uav_jax.diffusion.sampler import Conditioning, guided, sample
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.diffusion.windows import plan_windows
from uav_jax.models.unet.model import VideoUNet
from uav_jax.training.functional import Functional

STEPS = 5


@pytest.fixture(scope="module")
def unet():
    make = partial(VideoUNet, UNET)
    return Functional.of(make).bind(drawn(make))


def inputs(step=0):
    keys = jax.random.split(jax.random.key(0), 3)
    latents = jax.random.normal(jax.random.fold_in(keys[0], step), (1, 3, 8, 8, 4))
    low_res = jax.random.normal(keys[1], (1, 3, 8, 8, 3))
    text = jax.random.normal(keys[2], (2, 5, UNET.cross_attention_dim))
    return latents, low_res, jnp.int32(500), jnp.int32(20), text, jnp.float32(3)


def test_features_of_the_same_step_change_nothing_and_of_another_step_something(unet):
    network = nnx.split(unet)
    v, deep = guided(*network, *inputs(), keep=True)
    assert len(deep) == 2
    again, nothing = guided(*network, *inputs(), deep)
    assert nothing == () and jnp.abs(again - v).max() < 1e-5 < jnp.abs(v).max()
    later, _ = guided(*network, *inputs(step=1))
    reused, _ = guided(*network, *inputs(step=1), deep)
    assert jnp.abs(reused - v).max() > 1e-3  # the first level sees the new step
    assert jnp.abs(reused - later).max() > 1e-3  # and the others do not


@pytest.mark.parametrize(
    ("reuse", "interval", "seen"),
    [
        (1, (0, 1000), [0, 0, 0, 0, 0]),
        (2, (0, 1000), [0, 2, 0, 2, 0]),
        (3, (0, 1000), [0, 2, 2, 0, 2]),
        (5, (0, 500), [0, 1, 0, 2, 2]),  # guidance begins where features of one prompt are kept
    ],
)
def test_every_nth_step_makes_new_features(unet, monkeypatch, reuse, interval, seen):
    used = []

    def watched(program, config, network, inputs, **static):
        assert program is guided
        used.append(len(inputs[-1]))
        return program(*network, *inputs, **static)

    monkeypatch.setattr(sampler.programs, "call", watched)
    latents, low_res, _, level, text, scale = inputs()
    steps = ddim_steps(ScheduleConfig(), STEPS)
    assert [int(t) <= 500 for t in steps.timesteps] == [False, False, True, True, True]
    conditioning = Conditioning(low_res, level, text, scale)
    options = {"guidance_interval": interval, "deep_reuse": reuse}
    sample(unet, latents, conditioning, steps, plan_windows(3), **options)
    assert used == seen
