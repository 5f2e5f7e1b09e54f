"""The stages that train one network on one loss; ``make_task`` knows them all."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from uav_jax.data.loader import batches
from uav_jax.diffusion.schedule import add_noise, alphas_cumprod, velocity
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.shapes import Text, Video
from uav_jax.training.config import TrainConfig
from uav_jax.training.decoder import video_decoder
from uav_jax.training.flow import flow_network
from uav_jax.training.functional import Functional, Parameters
from uav_jax.training.losses import (
    kl_to_standard_normal,
    mean_squared_error,
    min_snr_weight,
    reconstruction_loss,
)
from uav_jax.training.partition import EVERYTHING, UNET_IMAGE, UNET_TEMPORAL, Partition
from uav_jax.training.sources import Files, Source
from uav_jax.training.stages.distillation import distillation
from uav_jax.training.standardise import standardised
from uav_jax.training.step import Batch, Metrics
from uav_jax.training.task import (
    Task,
    encode_latents,
    part,
    random_levels,
    sample_latents,
    text_conditioning,
    to_unit_range,
    under,
    validation_level,
)


def image_autoencoder(config: TrainConfig, source: Source) -> Task:
    """Encoder and plain decoder on single images: L1, LPIPS and a small KL term."""
    assert config.vae is not None
    vae_config = config.vae.image()
    make = partial(VideoAutoencoder, vae_config)
    vae = Functional.of(make)

    def loss(trained: Parameters, frozen: Parameters, batch: Batch, key: Array, step: Array):
        del step
        model = vae.bind(trained)
        target = to_unit_range(batch["target"])
        mean, log_variance = model.moments(target)
        log_variance = jnp.clip(log_variance, -30, 20)
        noise = jax.random.normal(key, mean.shape)
        decoded = model.decode(mean + jnp.exp(0.5 * log_variance) * noise)
        value, metrics = reconstruction_loss(
            decoded, target, part("lpips", frozen), config.lpips_weight
        )
        kl = kl_to_standard_normal(mean, log_variance)
        return value + config.kl_weight * kl, {**metrics, "latent_std": jnp.std(mean)}

    parameters = source.network("vae_3d", make, None, config.seed)
    trained, frozen = EVERYTHING.split(parameters)

    def finish(parameters: Parameters) -> Mapping:
        return standardised(jax.device_get(parameters), *latent_moments(vae, parameters, config))

    def sample(trained: Parameters, frozen: Parameters, batch: Batch, key: Array) -> Video:
        del frozen, key
        model = vae.bind(trained)
        return model.decode(model.moments(to_unit_range(batch["target"]))[0])

    others = under("lpips", source.lpips(config))
    return Task(trained, others, frozen, loss, sample, finish)


def latent_moments(
    vae: Functional[VideoAutoencoder], parameters: Parameters, config: TrainConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation ``(C,)`` of the latents of 64 training batches."""
    encode = jax.jit(lambda frames: vae.bind(parameters).moments(to_unit_range(frames))[0])
    data = batches(config.data)
    latents = np.concatenate([np.asarray(encode(next(data)["target"])) for _ in range(64)])
    axes = tuple(range(latents.ndim - 1))
    return latents.mean(axes), latents.std(axes)


def unet(config: TrainConfig, source: Source, partition: Partition) -> Task:
    """v-prediction on encoded targets; ``partition`` says which layers learn."""
    assert config.vae and config.unet and config.autoencoder_from
    unet_config, vae_config = config.unet, config.vae.image()
    make_vae, make_unet = partial(VideoAutoencoder, vae_config), partial(VideoUNet, unet_config)
    vae, network = Functional.of(make_vae), Functional.of(make_unet)
    alphas = alphas_cumprod(config.schedule)
    encode, text_encoder = text_conditioning(config, source)

    def loss(trained: Parameters, frozen: Parameters, batch: Batch, key: Array, step: Array):
        del step
        model = network.bind({**trained, **part("unet", frozen)})
        autoencoder = vae.bind(part("vae", frozen))
        latents = encode_latents(autoencoder, to_unit_range(batch["target"]))
        latents = jax.lax.stop_gradient(latents)
        low_res = to_unit_range(batch["low_quality"])
        return v_prediction_loss(
            model, alphas, latents, low_res, encode(frozen, batch), key, config
        )

    def sample(trained: Parameters, frozen: Parameters, batch: Batch, key: Array) -> Video:
        model = network.bind({**trained, **part("unet", frozen)})
        low_res, level = to_unit_range(batch["low_quality"]), validation_level(config, batch)
        latents = sample_latents(model, low_res, encode(frozen, batch), level, key, config)
        return vae.bind(part("vae", frozen)).decode(latents / vae_config.scaling_factor)

    parameters = source.network("unet", make_unet, config.unet_from, config.seed)
    trained, frozen = partition.split(parameters)
    autoencoder = source.network("vae_3d", make_vae, config.autoencoder_from, config.seed)
    others = {
        **under("unet", frozen),
        **under("vae", autoencoder),
        **text_encoder,
    }
    return Task(trained, others, frozen, loss, sample)


def v_prediction_loss(
    model: VideoUNet,
    alphas: np.ndarray,
    latents: Array,
    low_res: Array,
    text: Text,
    key: Array,
    config: TrainConfig,
) -> tuple[Array, Metrics]:
    """Mean squared error of v at random times, low-resolution frames noised to random levels."""
    keys = jax.random.split(key, 4)
    batch = latents.shape[0]
    level = random_levels(keys[0], batch, config.noise_levels)
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


def make_task(config: TrainConfig, source: Source | None = None) -> Task:
    """The task of a recipe's stage, from files unless another source is given."""
    source = source or Files()
    if config.stage == "image_autoencoder":
        return image_autoencoder(config, source)
    if config.stage == "flow":
        return flow_network(config, source)
    if config.stage == "distillation":
        return distillation(config, source)
    if config.stage == "video_decoder":
        return video_decoder(config, source)
    return unet(config, source, UNET_IMAGE if config.stage == "image_unet" else UNET_TEMPORAL)
