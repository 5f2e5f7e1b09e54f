"""Stage 2: the SFT video decoder on latents that the U-Net makes.

    loss = L1 + w_p LPIPS + w_a lambda L_adv                                                  (1)

with the hinge losses of a space-time patch discriminator and lambda the ratio of the two gradients
at the decoder's last layer (Esser et al., CVPR 2021). Both networks learn in the same step: neither
loss reaches the other network's parameters. With ``through_sampler`` the U-Net learns from the same
loss, through the decoder and its own sampling steps: it is trained on what it will be asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from uav_jax.layers.conv import conv2d
from uav_jax.models.discriminator.model import PatchDiscriminator
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.model import Decoder, VideoAutoencoder
from uav_jax.shapes import Video
from uav_jax.training.config import AdversarialConfig, TrainConfig
from uav_jax.training.functional import Functional, Parameters
from uav_jax.training.losses import (
    adaptive_weight,
    generator_loss,
    hinge_discriminator_loss,
    reconstruction_loss,
)
from uav_jax.training.partition import DECODER_TEMPORAL, DECODER_WHOLE, EVERYTHING
from uav_jax.training.sources import Source
from uav_jax.training.step import Batch, Metrics
from uav_jax.training.task import (
    Task,
    encode_latents,
    own,
    part,
    random_levels,
    sample_latents,
    text_conditioning,
    to_unit_range,
    under,
    validation_level,
)

Reconstruction = Callable[[Video], tuple[Array, Metrics]]


def last_layer_gradient(features: Video, kernel: Array, gradient: Video) -> Array:
    """Gradient to the kernel of the last convolution from the one to the frames."""
    images, grads = (x.reshape(-1, *x.shape[2:]) for x in (features, gradient))
    _, pull = jax.vjp(lambda k: conv2d(images, k, 1, ((1, 1), (1, 1))), kernel)
    return pull(grads.astype(images.dtype))[0].astype(jnp.float32)


@dataclass(frozen=True, slots=True)
class Adversary:
    """The discriminator's structure and what the recipe says about it."""

    discriminator: Functional[PatchDiscriminator]
    config: AdversarialConfig

    def loss(
        self,
        parameters: Parameters,
        decoder: Decoder,
        features: Video,
        low_res: Video,
        target: Video,
        reconstruction: Reconstruction,
        step: Array,
        importance: Array | None,
    ) -> tuple[Array, Metrics]:
        """Equation (1) on the frames that ``features`` become, plus the discriminator's loss.

        In the adversarial part a clip counts by its ``importance`` ``(B,)`` (None: 1).

        The scalar carries the right gradients and has no meaning; the losses are in the metrics.
        """
        decoded = decoder.frames(features, low_res).astype(jnp.float32)
        made, features = jax.lax.stop_gradient((decoded, features))
        kernel = jax.lax.stop_gradient(decoder.conv_out.kernel[...].astype(features.dtype))
        still = self.discriminator.bind(jax.lax.stop_gradient(parameters))
        (value, metrics), pull = jax.value_and_grad(reconstruction, has_aux=True)(made)
        adversarial, push = jax.value_and_grad(lambda x: generator_loss(still(x), importance))(made)
        ratio = adaptive_weight(
            last_layer_gradient(features, kernel, pull),
            last_layer_gradient(features, kernel, push),
        )
        started = jnp.where(step >= self.config.start_step, 1.0, 0.0)
        total = jax.lax.stop_gradient(pull + started * self.config.weight * ratio * push)

        learning = self.discriminator.bind(parameters)
        hinge = hinge_discriminator_loss(learning(target), learning(made))
        scalar = jnp.sum(total * decoded) + started * hinge
        reported = {"adversarial": adversarial, "adaptive_weight": ratio, "discriminator": hinge}
        return scalar, {"loss": value, **metrics, **reported}


def perceptual_importance(level: Array, full_level: int | None) -> Array | None:
    """How much LPIPS and the adversarial loss count for clips ``(B,)`` of a noise level.

    In proportion to the level up to ``full_level``, from where on they count fully: little noise
    asks for fidelity, much for detail. None, which is 1 for all, without such a level.
    """
    return None if full_level is None else jnp.minimum(level / full_level, 1.0)


def _reconstruction(
    config: TrainConfig, weights: Parameters, target: Video, importance: Array | None, key: Array
) -> Reconstruction:
    """The recipe's loss of decoded frames, apart from the adversarial one."""
    place = jax.random.uniform(key, (3,))
    return lambda decoded: reconstruction_loss(
        decoded,
        target,
        weights,
        config.lpips_weight,
        stages=config.lpips_stages,
        window=config.lpips_window,
        frames=config.lpips_frames,
        scales=config.lpips_scales,
        change_weight=config.change_weight,
        place=place,
        importance=importance,
    )


def _networks(
    config: TrainConfig, source: Source, make_vae: Callable, make_unet: Callable
) -> tuple[Parameters, Parameters, Parameters]:
    """What is trained (the U-Net's under ``unet/``), and what is not: autoencoder, U-Net."""
    assert config.vae
    if config.decoder_from:
        parameters = source.network("vae_video", make_vae, config.decoder_from, config.seed)
    elif config.vae.residual:  # of the image autoencoder only what is no decoder fits
        parameters = source.network("vae_video", make_vae, None, config.seed)
        make_image = partial(VideoAutoencoder, config.vae.image())
        image = source.network("vae_3d", make_image, config.autoencoder_from, config.seed)
        parameters |= DECODER_WHOLE.split(image)[1]
    else:
        parameters = source.network("vae_3d", make_vae, config.autoencoder_from, config.seed)
    partition = DECODER_WHOLE if config.whole_decoder else DECODER_TEMPORAL
    trained, frozen = partition.split(parameters)
    denoiser = source.network("unet", make_unet, config.unet_from, config.seed)
    if config.through_sampler:
        learning, denoiser = EVERYTHING.split(denoiser)
        trained = {**trained, **under("unet", learning)}
    return trained, frozen, denoiser


def video_decoder(config: TrainConfig, source: Source) -> Task:
    """The SFT decoder on latents made by the U-Net, to the clean frames."""
    assert config.vae and config.unet and config.unet_from
    make_vae, make_unet = partial(VideoAutoencoder, config.vae), partial(VideoUNet, config.unet)
    scale = config.vae.scaling_factor
    vae, network = Functional.of(make_vae), Functional.of(make_unet)
    encode, text_encoder = text_conditioning(config, source)

    def sampled(
        trained: Parameters, frozen: Parameters, batch: Batch, level: Array, key: Array
    ) -> Video:
        low_res = to_unit_range(batch["low_quality"])
        denoiser = network.bind({**part("unet", frozen), **part("unet", trained)})
        return sample_latents(denoiser, low_res, encode(frozen, batch), level, key, config)

    def loss(trained: Parameters, frozen: Parameters, batch: Batch, key: Array, step: Array):
        model = vae.bind({**own(trained), **part("vae", frozen)})
        target = to_unit_range(batch["target"])
        keys = jax.random.split(key, 3)
        level = random_levels(keys[0], target.shape[0], config.noise_levels)
        true = jax.random.uniform(keys[2], (target.shape[0], 1, 1, 1, 1)) < config.true_latents
        latents = sampled(trained, frozen, batch, level, keys[1])
        if config.true_latents:
            latents = jnp.where(true, encode_latents(model, target), latents)
        if not config.through_sampler:
            latents = jax.lax.stop_gradient(latents)
        low_res = to_unit_range(batch["low_quality"])
        hidden = model.decoder.features(model.post_quant_conv(latents / scale), low_res, 1.0)
        importance = perceptual_importance(level, config.full_perception_level)
        reconstruction = _reconstruction(
            config, part("lpips", frozen), target, importance, jax.random.fold_in(key, len(keys))
        )
        if adversary is None:
            return reconstruction(model.decoder.frames(hidden, low_res).astype(jnp.float32))
        scores = part("discriminator", trained)
        return adversary.loss(
            scores, model.decoder, hidden, low_res, target, reconstruction, step, importance
        )

    def sample(trained: Parameters, frozen: Parameters, batch: Batch, key: Array) -> Video:
        model = vae.bind({**own(trained), **part("vae", frozen)})
        latents = sampled(trained, frozen, batch, validation_level(config, batch), key)
        return model.decode(latents / scale, to_unit_range(batch["low_quality"]))

    trained, frozen, denoiser = _networks(config, source, make_vae, make_unet)
    adversary = None
    if config.adversarial:
        make = partial(PatchDiscriminator, config.adversarial.discriminator)
        adversary = Adversary(Functional.of(make), config.adversarial)
        scores = source.network("discriminator", make, None, config.seed + 1)
        trained = {**trained, **under("discriminator", scores)}
    others = {
        **under("vae", frozen),
        **under("unet", denoiser),
        **under("lpips", source.lpips(config)),
        **text_encoder,
    }
    return Task(trained, others, frozen, loss, sample)
