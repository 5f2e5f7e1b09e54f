"""The whole sampling loop and decoding against the published pipeline."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.parity import golden as g
from tests.parity.networks_test import small_unet, small_vae
from uav_jax.diffusion.ddim import ddim_steps
from uav_jax.diffusion.sampler import Conditioning, sample
from uav_jax.diffusion.schedule import ScheduleConfig, add_noise, alphas_cumprod
from uav_jax.diffusion.windows import plan_windows
from uav_jax.models.vae.config import PUBLISHED_GROUP as GROUP
from uav_jax.motion.flow import ClipFlow
from uav_jax.pipeline.decode import decode_group


@pytest.mark.parametrize("case", g.cases("pipeline"))
def test_pipeline_gives_the_published_latents_and_images(case):
    values = g.arrays(f"pipeline_{case}")
    low_res = jnp.asarray(g.last(values["low_res"]))
    _, frames, height, width, _ = low_res.shape
    level = jnp.asarray(int(values["noise_level"]))
    noise = g.last(g.random_input(f"pipe_noise_{case}", values["low_res"].shape))
    first = g.last(g.random_input(f"pipe_latents_{case}", (1, 4, frames, height, width)))
    text = [g.random_input(f"pipe_{side}_{case}", (1, 77, 48)) for side in ("pos", "neg")]
    guidance = float(values["guidance"])
    propagation_steps = tuple(map(int, np.atleast_1d(values["propagation_steps"])))
    flow = None
    if propagation_steps:
        flow = ClipFlow(
            *(jnp.asarray(g.last(values[f"flows_{d}"])) for d in ("forward", "backward"))
        )
    latents = sample(
        small_unet(),
        jnp.asarray(first),
        Conditioning(
            add_noise(alphas_cumprod(ScheduleConfig()), low_res, noise, level[None]),
            level,
            jnp.concatenate([jnp.asarray(t) for t in text[: 2 if guidance > 1 else 1]]),
            jnp.float32(guidance),
        ),
        ddim_steps(ScheduleConfig(), int(values["steps"])),
        plan_windows(frames),
        propagation_steps=propagation_steps,
        flow=flow,
    )
    assert g.difference(g.first(latents), values["latents_out"]) <= g.PIPELINE_TOLERANCE
    vae = small_vae("vae_video" if int(values["video_vae"]) else "vae_3d")
    groups = [
        decode_group(vae, latents[:, i : i + GROUP], low_res[:, i : i + GROUP])
        for i in range(0, frames, GROUP)
    ]
    images = np.concatenate([np.asarray(group) for group in groups], axis=1)
    expected = values["images"].astype(np.float32)
    assert g.difference(g.first(images), expected) <= g.IMAGE_TOLERANCE
