"""The noise of a run, by frame: for the low-resolution frames (3 channels), for the latents (4)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from uav_jax.diffusion.torch_noise import TorchGenerator
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.shapes import LATENT_CHANNELS

Noise = Callable[[int, int, int], tuple[np.ndarray, np.ndarray]]
"""``draw(scene, first, frames) -> (T H W 3, T H W 4)`` of ``frames`` frames of a scene from its
frame ``first`` on; ``scene`` is the scene's first frame in the clip."""


def noise_of(settings: UpscaleSettings, shape: tuple[int, ...]) -> Noise:
    """The noise that ``settings`` ask for, for frames of ``shape`` (T, H, W, 3)."""
    frames, height, width, _ = shape
    if settings.noise == "torch":
        return torch_noise(settings.seed, frames, height, width)
    return lambda scene, first, count: frame_noise(settings.seed, first, count, height, width)


def frame_noise(
    seed: int, first: int, frames: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Noise that depends on seed and frame of the scene alone, not on where a clip is cut."""
    low_key, key = jax.random.split(jax.random.key(seed))

    def draw(key: Array, channels: int) -> np.ndarray:
        keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(first + jnp.arange(frames))
        shape = (height, width, channels)
        return np.asarray(jax.vmap(lambda k: jax.random.normal(k, shape))(keys))

    return draw(low_key, 3), draw(key, LATENT_CHANNELS)


def torch_noise(seed: int, frames: int, height: int, width: int) -> Noise:
    """The published script's noise on PyTorch's CPU generator: low-resolution first, then latents.

    It is drawn once for the whole clip and held, so a clip that is not tiled gets the same.
    """
    generator = TorchGenerator(seed)
    low, latent = (
        np.moveaxis(generator.randn(channels, frames, height, width), 0, -1)
        for channels in (3, LATENT_CHANNELS)
    )

    def draw(scene: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(scene + first, scene + first + count)
        return low[part], latent[part]

    return draw
