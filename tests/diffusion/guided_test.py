"""Guidance: prompts that share work give what each gives by itself."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from tests.training.tiny import UNET, drawn
from uav_jax.diffusion.sampler import guided
from uav_jax.models.unet.model import VideoUNet
from uav_jax.training.functional import Functional


def test_rows_with_two_prompts_are_each_prompt_by_itself():
    make = partial(VideoUNet, UNET)
    unet = Functional.of(make).bind(drawn(make))
    keys = jax.random.split(jax.random.key(0), 3)
    latents = jax.random.normal(keys[0], (3, 3, 8, 16, 4))
    low_res = jax.random.normal(keys[1], (3, 3, 8, 16, 3))
    text = jax.random.normal(keys[2], (2, 5, UNET.cross_attention_dim))
    number, level = jnp.int32(500), jnp.int32(20)
    v, _ = guided(*nnx.split(unet), latents, low_res, number, level, text, jnp.float32(3))

    times, levels = jnp.full((3,), number), jnp.full((3,), level)

    @nnx.jit
    def alone(unet, prompt):
        rows = jnp.broadcast_to(prompt, (3, *prompt.shape))
        return unet(latents, low_res, times, levels, rows)

    positive, negative = (alone(unet, prompt) for prompt in text)
    expected = negative + 3 * (positive - negative)
    assert jnp.abs(positive - negative).max() > 1e-2
    assert jnp.abs(v - expected).max() < 2e-5 * (1 + jnp.abs(expected).max())
