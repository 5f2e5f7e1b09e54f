"""DDIM without noise (Song et al., ICLR 2021, equation 12 with sigma = 0)."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from uav_jax.diffusion.schedule import (
    MAX_STEPS,
    ScheduleConfig,
    alphas_cumprod,
    predict_noise,
    predict_x0,
)
from uav_jax.shapes import Video


class DDIMSteps(NamedTuple):
    """One row per denoising step, noisiest first."""

    timesteps: np.ndarray  # (S,) int32
    alpha: np.ndarray  # (S,) a_t
    alpha_previous: np.ndarray  # (S,) a of the next, less noisy step


def ddim_steps(config: ScheduleConfig, steps: int) -> DDIMSteps:
    """Timesteps in descending order and their alphas.

    Spacing "leading": ``i * (1000 // steps) + offset``, as published. "trailing": the last of
    ``steps`` equal stretches each, so that the first step starts from pure noise, as sampling does
    (Lin et al., WACV 2024, section 3.3). The step before time 0 has the alpha of time 0, or 1 with
    ``set_alpha_to_one``. ``ValueError`` unless 1 <= steps <= num_train_timesteps.
    """
    train_steps = config.num_train_timesteps
    if not 1 <= steps <= min(train_steps, MAX_STEPS):
        raise ValueError(f"steps {steps} is outside 1..{min(train_steps, MAX_STEPS)}")
    ratio = train_steps // steps
    timesteps = (np.arange(steps) * ratio)[::-1] + config.steps_offset
    if config.timestep_spacing == "trailing":
        timesteps = np.rint(np.arange(train_steps, 0, -train_steps / steps)) - 1
    timesteps = np.minimum(timesteps, train_steps - 1).astype(np.int32)
    alphas = alphas_cumprod(config)
    final = np.float32(1.0) if config.set_alpha_to_one else alphas[0]
    previous = timesteps - ratio
    if config.timestep_spacing == "trailing":
        previous = np.append(timesteps[1:], -1)
    return DDIMSteps(
        timesteps,
        alphas[timesteps],
        np.where(previous >= 0, alphas[np.maximum(previous, 0)], final),
    )


def ddim_update(
    alpha: Array, alpha_previous: Array, latents: Video, v: Video, x0: Video | None = None
) -> Video:
    """The next latents; ``x0`` replaces the predicted clean latents (after propagation).

    The noise direction always comes from the prediction itself.
    """
    x0 = predict_x0(alpha, latents, v) if x0 is None else x0
    noise = predict_noise(alpha, latents, v)
    return jnp.sqrt(alpha_previous) * x0 + jnp.sqrt(1 - alpha_previous) * noise
