"""What a stage is to the loop, and what the stages share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from uav_jax.diffusion.ddim import ddim_steps, ddim_update
from uav_jax.diffusion.schedule import add_noise, alphas_cumprod
from uav_jax.models.clip.model import TextEncoder
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.shapes import LATENT_CHANNELS, Text, Video
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Functional, Parameters
from uav_jax.training.sources import Source
from uav_jax.training.step import Batch, Loss

TextEncoding = Callable[[Parameters, Batch], Text]
Sample = Callable[[Parameters, Parameters, Batch, Array], Video]
"""``sample(trained, frozen, batch, key)``: the frames that the network makes of a batch."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the loop needs of a stage."""

    trained: Parameters  # those of another network (a discriminator) under ``NETWORK/``
    frozen: Parameters  # everything else that the loss reads, this network's frozen part included
    rest: Parameters  # this network's frozen part under its own names
    loss: Loss
    sample: Sample
    finish: Callable[[Parameters], Mapping] = dict  # turns the last network into the result


def to_unit_range(frames: Array) -> Array:
    """uint8 to float in [-1, 1]."""
    return frames.astype(jnp.float32) / 127.5 - 1


def under(prefix: str, parameters: Parameters) -> Parameters:
    """Parameters with ``prefix/`` before their names."""
    return {f"{prefix}/{name}": value for name, value in parameters.items()}


def part(prefix: str, parameters: Parameters) -> Parameters:
    """Those with ``prefix/`` before their names, without it."""
    cut = len(prefix) + 1
    return {n[cut:]: v for n, v in parameters.items() if n.startswith(f"{prefix}/")}


def own(parameters: Parameters) -> Parameters:
    """Those of the stage's own network, which have no prefix."""
    return {name: value for name, value in parameters.items() if "/" not in name}


def encode_latents(vae: VideoAutoencoder, target: Video) -> Video:
    """Scaled latents (the mean) of frames in [-1, 1]."""
    return vae.moments(target)[0] * vae.config.scaling_factor


def text_conditioning(config: TrainConfig, source: Source) -> tuple[TextEncoding, Parameters]:
    """``encode(frozen, batch)`` to embeddings ``(B, 77, D)``, and the encoder's parameters."""
    assert config.text_encoder is not None
    make = partial(TextEncoder, config.text_encoder)
    encoder = Functional.of(make)

    def encode(frozen: Parameters, batch: Batch) -> Text:
        return encoder.bind(part("text", frozen))(batch["tokens"])

    parameters = source.network("text_encoder", make, config.text_from, config.seed)
    return encode, under("text", parameters)


def sample_latents(
    model: VideoUNet,
    low_res: Video,
    text: Text,
    level: Array,
    key: Array,
    config: TrainConfig,
) -> Video:
    """Latents that the U-Net makes in ``sampling_steps`` DDIM steps without guidance."""
    alphas = alphas_cumprod(config.schedule)
    keys = jax.random.split(key)
    condition = add_noise(alphas, low_res, jax.random.normal(keys[0], low_res.shape), level)
    latents = jax.random.normal(keys[1], (*low_res.shape[:-1], LATENT_CHANNELS))

    def step(x: Array, row: tuple) -> tuple[Array, None]:
        t, alpha, previous = row
        v = model(x, condition, jnp.full(x.shape[:1], t), level, text)
        return ddim_update(alpha, previous, x, v), None

    steps = ddim_steps(config.schedule, config.sampling_steps)
    return jax.lax.scan(step, latents, jax.tree.map(jnp.asarray, steps))[0]


def validation_level(config: TrainConfig, batch: Batch) -> Array:
    """The validation's noise level for every example."""
    return jnp.full(batch["target"].shape[:1], config.validation.noise_level)


def random_levels(key: Array, batch: int, limits: tuple[int, int]) -> Array:
    """Noise levels ``(B,)`` from the first limit to the second, both included."""
    low, high = limits
    return jax.random.randint(key, (batch,), low, high + 1)
