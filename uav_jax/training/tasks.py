"""The stages: for each, its parameters, its partition, and its loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from uav_jax.data.loader import batches
from uav_jax.diffusion.ddim import ddim_steps, ddim_update
from uav_jax.diffusion.schedule import add_noise, alphas_cumprod, velocity
from uav_jax.models.clip.model import TextEncoder
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.shapes import Text
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Functional, Parameters
from uav_jax.training.losses import (
    kl_to_standard_normal,
    mean_squared_error,
    min_snr_weight,
    reconstruction_loss,
)
from uav_jax.training.partition import (
    DECODER_TEMPORAL,
    DECODER_WHOLE,
    EVERYTHING,
    UNET_IMAGE,
    UNET_TEMPORAL,
    Partition,
)
from uav_jax.training.sources import Files, Source
from uav_jax.training.standardise import standardised
from uav_jax.training.step import Batch, Loss, Metrics

TextEncoding = Callable[[Parameters, Batch], Text]


@dataclass(frozen=True, slots=True)
class Task:
    """What the loop needs of a stage."""

    trained: Parameters
    frozen: Parameters  # everything else that the loss reads, this network's frozen part included
    rest: Parameters  # this network's frozen part under its own names
    loss: Loss
    finish: Callable[[Parameters], Mapping] = dict  # turns the last network into the result


def to_unit_range(frames: Array) -> Array:
    """uint8 to float in [-1, 1]."""
    return frames.astype(jnp.float32) / 127.5 - 1


def _under(prefix: str, parameters: Parameters) -> Parameters:
    return {f"{prefix}/{name}": value for name, value in parameters.items()}


def _part(prefix: str, parameters: Parameters) -> Parameters:
    cut = len(prefix) + 1
    return {n[cut:]: v for n, v in parameters.items() if n.startswith(f"{prefix}/")}


def image_autoencoder(config: TrainConfig, source: Source) -> Task:
    """Encoder and plain decoder on single images: L1, LPIPS and a small KL term."""
    assert config.vae is not None
    vae_config = replace(config.vae, condition_channels=0)
    make = partial(VideoAutoencoder, vae_config)
    vae = Functional.of(make)

    def loss(trained: Parameters, frozen: Parameters, batch: Batch, key: Array):
        model = vae.bind(trained)
        target = to_unit_range(batch["target"])
        mean, log_variance = model.moments(target)
        log_variance = jnp.clip(log_variance, -30, 20)
        noise = jax.random.normal(key, mean.shape)
        decoded = model.decode(mean + jnp.exp(0.5 * log_variance) * noise)
        value, metrics = reconstruction_loss(
            decoded, target, _part("lpips", frozen), config.lpips_weight
        )
        kl = kl_to_standard_normal(mean, log_variance)
        return value + config.kl_weight * kl, {**metrics, "latent_std": jnp.std(mean)}

    parameters = source.network("vae_3d", make, None, config.seed)
    trained, frozen = EVERYTHING.split(parameters)

    def finish(parameters: Parameters) -> Mapping:
        return standardised(jax.device_get(parameters), *latent_moments(vae, parameters, config))

    return Task(trained, _under("lpips", source.lpips(config)), frozen, loss, finish)


def latent_moments(
    vae: Functional[VideoAutoencoder], parameters: Parameters, config: TrainConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation ``(C,)`` of the latents of 64 training batches."""
    encode = jax.jit(lambda frames: vae.bind(parameters).moments(to_unit_range(frames))[0])
    data = batches(config.data)
    latents = np.concatenate([np.asarray(encode(next(data)["target"])) for _ in range(64)])
    axes = tuple(range(latents.ndim - 1))
    return latents.mean(axes), latents.std(axes)


def _encode(vae: VideoAutoencoder, target: Array) -> Array:
    return vae.moments(target)[0] * vae.config.scaling_factor


def unet(config: TrainConfig, source: Source, partition: Partition) -> Task:
    """v-prediction on encoded targets; ``partition`` says which layers learn."""
    assert config.vae and config.unet and config.autoencoder_from
    unet_config, vae_config = config.unet, replace(config.vae, condition_channels=0)
    make_vae, make_unet = partial(VideoAutoencoder, vae_config), partial(VideoUNet, unet_config)
    vae, network = Functional.of(make_vae), Functional.of(make_unet)
    alphas = alphas_cumprod(config.schedule)
    encode, text_encoder = text_conditioning(config, source)

    def loss(trained: Parameters, frozen: Parameters, batch: Batch, key: Array):
        model = network.bind({**trained, **_part("unet", frozen)})
        latents = _encode(vae.bind(_part("vae", frozen)), to_unit_range(batch["target"]))
        latents = jax.lax.stop_gradient(latents)
        low_res = to_unit_range(batch["low_quality"])
        return v_prediction_loss(
            model, alphas, latents, low_res, encode(frozen, batch), key, config
        )

    parameters = source.network("unet", make_unet, config.unet_from, config.seed)
    trained, frozen = partition.split(parameters)
    autoencoder = source.network("vae_3d", make_vae, config.autoencoder_from, config.seed)
    others = {
        **_under("unet", frozen),
        **_under("vae", autoencoder),
        **text_encoder,
    }
    return Task(trained, others, frozen, loss)


def text_conditioning(config: TrainConfig, source: Source) -> tuple[TextEncoding, Parameters]:
    """``encode(frozen, batch)`` to embeddings ``(B, 77, D)``, and the encoder's parameters."""
    assert config.text_encoder is not None
    make = partial(TextEncoder, config.text_encoder)
    encoder = Functional.of(make)

    def encode(frozen: Parameters, batch: Batch) -> Text:
        return encoder.bind(_part("text", frozen))(batch["tokens"])

    parameters = source.network("text_encoder", make, config.text_from, config.seed)
    return encode, _under("text", parameters)


def v_prediction_loss(
    model: VideoUNet,
    alphas: np.ndarray,
    latents: Array,
    low_res: Array,
    text: Array,
    key: Array,
    config: TrainConfig,
) -> tuple[Array, Metrics]:
    """Mean squared error of v at random times, low-resolution frames noised to random levels."""
    keys = jax.random.split(key, 4)
    batch = latents.shape[0]
    low, high = config.noise_levels
    level = jax.random.randint(keys[0], (batch,), low, high + 1)
    # Times are stratified over the batch, which lowers the variance of the loss.
    offset = jax.random.uniform(keys[1], (batch,))
    strata = (jnp.arange(batch) + offset) / batch
    timesteps = (strata * config.schedule.num_train_timesteps).astype(jnp.int32)
    noise = jax.random.normal(keys[2], latents.shape)
    condition = add_noise(alphas, low_res, jax.random.normal(keys[3], low_res.shape), level)
    noisy = add_noise(alphas, latents, noise, timesteps)
    prediction = model(noisy, condition, timesteps, level, text)
    target = velocity(alphas, latents, noise, timesteps)
    if config.min_snr is None:
        return mean_squared_error(prediction, target), {}
    weight = min_snr_weight(jnp.asarray(alphas)[timesteps], config.min_snr)
    return mean_squared_error(prediction, target, weight), {}


def sample_latents(
    model: VideoUNet,
    low_res: Array,
    text: Array,
    level: Array,
    key: Array,
    config: TrainConfig,
) -> Array:
    """Latents that the U-Net makes in ``sampling_steps`` DDIM steps without guidance."""
    alphas = alphas_cumprod(config.schedule)
    keys = jax.random.split(key)
    condition = add_noise(alphas, low_res, jax.random.normal(keys[0], low_res.shape), level)
    latents = jax.random.normal(keys[1], (*low_res.shape[:-1], 4))

    def step(x, row):
        t, alpha, previous = row
        v = model(x, condition, jnp.full(x.shape[:1], t), level, text)
        return ddim_update(alpha, previous, x, v), None

    steps = ddim_steps(config.schedule, config.sampling_steps)
    return jax.lax.scan(step, latents, jax.tree.map(jnp.asarray, steps))[0]


def video_decoder(config: TrainConfig, source: Source) -> Task:
    """The SFT decoder on latents made by the U-Net: L1 and LPIPS to the clean frames."""
    assert config.vae and config.unet and config.autoencoder_from and config.unet_from
    unet_config, vae_config = config.unet, config.vae
    make_vae, make_unet = partial(VideoAutoencoder, vae_config), partial(VideoUNet, unet_config)
    vae, network = Functional.of(make_vae), Functional.of(make_unet)
    scale = vae_config.scaling_factor
    encode, text_encoder = text_conditioning(config, source)

    def loss(trained: Parameters, frozen: Parameters, batch: Batch, key: Array):
        model = vae.bind({**trained, **_part("vae", frozen)})
        target, low_res = to_unit_range(batch["target"]), to_unit_range(batch["low_quality"])
        keys = jax.random.split(key, 3)
        level = jax.random.randint(keys[0], target.shape[:1], *config.noise_levels)
        denoiser = network.bind(_part("unet", frozen))
        text = encode(frozen, batch)
        sampled = sample_latents(denoiser, low_res, text, level, keys[1], config)
        encoded = _encode(model, target)
        true = jax.random.uniform(keys[2], (target.shape[0], 1, 1, 1, 1)) < config.true_latents
        latents = jax.lax.stop_gradient(jnp.where(true, encoded, sampled))
        decoded = model.decode(latents / scale, low_res)
        return reconstruction_loss(decoded, target, _part("lpips", frozen), config.lpips_weight)

    parameters = source.network("vae_3d", make_vae, config.autoencoder_from, config.seed)
    partition = DECODER_WHOLE if config.whole_decoder else DECODER_TEMPORAL
    trained, frozen = partition.split(parameters)
    others = {
        **_under("vae", frozen),
        **_under("unet", source.network("unet", make_unet, config.unet_from, config.seed)),
        **_under("lpips", source.lpips(config)),
        **text_encoder,
    }
    return Task(trained, others, frozen, loss)


def make_task(config: TrainConfig, source: Source | None = None) -> Task:
    """The task of a recipe's stage, from files unless another source is given."""
    source = source or Files()
    if config.stage == "image_autoencoder":
        return image_autoencoder(config, source)
    if config.stage == "video_decoder":
        return video_decoder(config, source)
    return unet(config, source, UNET_IMAGE if config.stage == "image_unet" else UNET_TEMPORAL)
