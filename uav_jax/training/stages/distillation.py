"""Distillation of a teacher into the video decoder around a pretrained image network.

With a the noise level in parts of the full one, x the truth, t the teacher's result and y the
decoder's, a clip costs

    (1 - a) |y - x| + l a |y - t| + w_p (b + (1 - b) a) LPIPS(y, r) + w_c C(y, x)
        + w_b |log B(y) - log B(x)|                                                           (1)

where r is t with probability a and otherwise x, and l is ``teacher_l1``. At noise level 0 the
decoder learns the truth, at the full one the teacher, whose fine part is enlarged
(``teacher_sharpening``), both changed as the prompt asks (``uav_jax.data.phrases``). B is blocking
(``uav_jax.metrics.artefacts``), C flicker along the known motion: with m the warp from frame s + 1
to frame s,

    C = mean_s |(m(y_{s+1}) - y_s) - (m(x_{s+1}) - x_s)|                                      (2)

On single frames the 3-D layers stay as they are.

The U-Net tells the decoder what is asked for: its latents are four control maps, which the decoder
is trained with at a random strength s of the prompt, and the U-Net at s = 1,

    z = (2 a - 1, s drawing, s (sharp - smooth), s grain),                                    (3)

where drawing, ... are 1 if the prompt has that phrase, otherwise 0. Guidance g makes s = g where
the negative prompt is empty. To (1) comes the mean of |z' - z|^2 over the U-Net's latents z' of one
sampling. Learnt through the decoder alone the latents would stay without effect, because each
network only gains once the other already uses them.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from uav_jax.data.phrases import PHRASES, apply_phrases, fine_part
from uav_jax.metrics.artefacts import blocking_energy
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.motion.warp import warp
from uav_jax.shapes import Video
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Functional, Parameters
from uav_jax.training.losses import perceptual_error
from uav_jax.training.partition import EVERYTHING, TRUNK_IMAGE
from uav_jax.training.sources import Source
from uav_jax.training.step import Batch, Metrics
from uav_jax.training.task import (
    Task,
    own,
    part,
    random_levels,
    sample_latents,
    text_conditioning,
    to_unit_range,
    under,
    validation_level,
)

BLOCKING_RANGE = (0.1, 10.0)
"""Limits of B inside the logarithm: flat crops give 0 or infinity."""


def flow_of(motion: Float[Array, "B t 2 3"], height: int, width: int) -> Float[Array, "B t H W 2"]:
    """Optical flow in pixels of affine maps of positions (see ``CameraPath.motion``)."""
    middles = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    change = motion[..., :2] - jnp.eye(2)
    moved = jnp.einsum("btij,hwj->bthwi", change, middles.astype(np.float32))
    return moved + motion[:, :, None, None, :, 2]


def flicker_error(
    prediction: Video, truth: Video, motion: Float[Array, "B t 2 3"]
) -> Float[Array, ""]:
    """Equation (2), where the neighbour shows the pixel.

    Args:
        prediction: Frames y.
        truth: Frames x.
        motion: Affine maps from each frame to the next, t = T - 1.
    """
    H, W, C = prediction.shape[2:]
    flow = flow_of(motion, H, W).reshape(-1, H, W, 2)
    inside = warp(jnp.ones((*flow.shape[:3], 1)), flow) > 0.999

    def change(video: Video) -> Array:
        return warp(video[:, 1:].reshape(-1, H, W, C), flow) - video[:, :-1].reshape(-1, H, W, C)

    error = jnp.abs(change(prediction) - change(truth)) * inside
    return jnp.sum(error) / jnp.maximum(C * jnp.sum(inside), 1)


def _per_clip(error: Video) -> Float[Array, " B"]:
    return jnp.mean(error, axis=(1, 2, 3, 4))


def distillation_loss(
    decoded: Video,
    batch: Batch,
    weights: Parameters,
    detail: Array,
    key: Array,
    config: TrainConfig,
) -> tuple[Array, Metrics]:
    """Equation (1), mean over the batch.

    Args:
        decoded: Frames in [-1, 1].
        batch: See ``uav_jax.data.teacher_targets``; ``phrases`` are their strengths ``(B, P)``.
        weights: LPIPS.
        detail: a of equation (1), ``(B,)``.
        key: Draws the LPIPS reference and the place of its window.
        config: The recipe.
    """
    assert config.distillation
    truth, teacher, drawing, low_res = (
        to_unit_range(batch[name]) for name in ("target", "teacher", "drawing", "low_quality")
    )
    prompted = partial(
        apply_phrases, drawing=drawing, low_res=low_res, truth=truth, strength=batch["phrases"]
    )
    teacher += config.distillation.teacher_sharpening * fine_part(teacher)
    truth, teacher = prompted(truth), prompted(teacher)
    keys = jax.random.split(key)
    errors = [_per_clip(jnp.abs(decoded - target)) for target in (truth, teacher)]
    value = jnp.mean((1 - detail) * errors[0] + config.distillation.teacher_l1 * detail * errors[1])
    images = rearrange(decoded, "b t h w c -> (b t) h w c")
    energy = blocking_energy(images)
    parts = {
        "l1_truth": jnp.mean(errors[0]),
        "l1_teacher": jnp.mean(errors[1]),
        "blocking": jnp.mean(energy),
    }
    to_teacher = jax.random.uniform(keys[0], detail.shape) < detail
    perceptual = perceptual_error(
        decoded,
        jnp.where(to_teacher[:, None, None, None, None], teacher, truth),
        weights,
        stages=config.lpips_stages,
        window=config.lpips_window,
        frames=config.lpips_frames,
        scales=config.lpips_scales,
        place=jax.random.uniform(keys[1], (3,)),
    )
    least = config.distillation.fidelity_lpips
    value += config.lpips_weight * jnp.mean(perceptual * (least + (1 - least) * detail))
    parts["lpips_vgg"] = jnp.mean(perceptual)
    if config.change_weight and decoded.shape[1] > 1:
        parts["flicker"] = flicker_error(decoded, truth, batch["motion"])
        value += config.change_weight * parts["flicker"]
    if config.distillation.blocking_weight:
        wanted = blocking_energy(rearrange(truth, "b t h w c -> (b t) h w c"))
        logarithms = (jnp.log(jnp.clip(b, *BLOCKING_RANGE)) for b in (energy, wanted))
        difference = jnp.mean(jnp.abs(jnp.subtract(*logarithms)))
        value += config.distillation.blocking_weight * difference
    return value, parts


MIN_STRENGTH, MAX_STRENGTH = 0.5, 1.5
"""Of a prompt in training: s of equation (3)."""

NOISE_TABLE = "noise_level_embedding.embedding"


def noise_table(levels: int, channels: int, full: int) -> Float[Array, "levels channels"]:
    """The noise levels' embedding to start from: cosines of 0 to the full level.

    Drawn rows would have to be learned level by level; of these, neighbours are alike.
    """
    phase = np.pi * np.minimum(np.arange(levels) / full, 1)
    waves = np.arange(1, channels + 1)
    return jnp.asarray(np.cos(np.outer(phase, waves)) / np.sqrt(waves), jnp.float32)


def control_maps(detail: Array, phrases: Float[Array, "B P"]) -> Float[Array, "B 1 1 1 4"]:
    """Equation (3).

    Args:
        detail: a of equation (1), ``(B,)``.
        phrases: Strengths of ``PHRASES``.
    """
    s = dict(zip(PHRASES, jnp.moveaxis(phrases, -1, 0), strict=True))
    maps = (2 * detail - 1, s["drawing"], s["sharp"] - s["smooth"], s["keep film grain"])
    return jnp.stack(maps, -1)[:, None, None, None]


def _networks(config: TrainConfig, source: Source, make_vae, make_unet):
    """(trained, the decoder's frozen part, the U-Net's frozen part)."""
    assert config.vae and config.vae.trunk and config.distillation
    if config.decoder_from:
        parameters = source.network("vae_video", make_vae, config.decoder_from, config.seed)
    else:
        parameters = source.network("vae_video", make_vae, None, config.seed)
        parameters |= source.trunk(config.vae.trunk, config.distillation.pretrained)
    single = config.data.frames == 1
    trained, frozen = (TRUNK_IMAGE if single else EVERYTHING).split(parameters)
    denoiser = source.network("unet", make_unet, config.unet_from, config.seed)
    if config.unet_from is None:
        assert config.full_perception_level
        levels, channels = denoiser[NOISE_TABLE].shape
        denoiser[NOISE_TABLE] = noise_table(levels, channels, config.full_perception_level)
    learning, denoiser = EVERYTHING.split(denoiser)
    return {**trained, **under("unet", learning)}, frozen, denoiser


def distillation(config: TrainConfig, source: Source) -> Task:
    """The video decoder with a trunk, from a teacher's results and the truth."""
    assert config.vae and config.unet and config.full_perception_level
    make_vae, make_unet = partial(VideoAutoencoder, config.vae), partial(VideoUNet, config.unet)
    scale, full = config.vae.scaling_factor, config.full_perception_level
    vae, network = Functional.of(make_vae), Functional.of(make_unet)
    encode, text_encoder = text_conditioning(config, source)

    def latents_of(
        trained: Parameters, frozen: Parameters, batch: Batch, level: Array, key: Array
    ) -> Video:
        denoiser = network.bind({**part("unet", frozen), **part("unet", trained)})
        low_res, text = to_unit_range(batch["low_quality"]), encode(frozen, batch)
        return sample_latents(denoiser, low_res, text, level, key, config)

    def decoded(trained: Parameters, frozen: Parameters, batch: Batch, latents: Video) -> Video:
        model = vae.bind({**own(trained), **part("vae", frozen)})
        return model.decode(latents / scale, to_unit_range(batch["low_quality"]))

    def loss(trained: Parameters, frozen: Parameters, batch: Batch, key: Array, step: Array):
        del step
        keys = jax.random.split(key, 4)
        level = random_levels(keys[0], batch["target"].shape[0], config.noise_levels)
        detail = jnp.minimum(level / full, 1.0)
        latents = latents_of(trained, frozen, batch, level, keys[1])
        unet_error = jnp.mean(jnp.square(latents - control_maps(detail, batch["phrases"])))
        strength = jax.random.uniform(
            keys[2], (len(detail), 1), minval=MIN_STRENGTH, maxval=MAX_STRENGTH
        )
        stronger = {**batch, "phrases": batch["phrases"] * strength}
        maps = jnp.broadcast_to(control_maps(detail, stronger["phrases"]), latents.shape)
        frames = decoded(trained, frozen, stronger, maps)
        weights = part("lpips", frozen)
        value, parts = distillation_loss(frames, stronger, weights, detail, keys[3], config)
        return value + unet_error, {**parts, "unet_error": unet_error}

    def sample(trained: Parameters, frozen: Parameters, batch: Batch, key: Array) -> Video:
        level = validation_level(config, batch)
        return decoded(trained, frozen, batch, latents_of(trained, frozen, batch, level, key))

    trained, frozen, denoiser = _networks(config, source, make_vae, make_unet)
    others = {
        **under("vae", frozen),
        **under("unet", denoiser),
        **under("lpips", source.lpips(config)),
        **text_encoder,
    }
    return Task(trained, others, frozen, loss, sample)
