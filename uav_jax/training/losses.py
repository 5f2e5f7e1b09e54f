"""Losses of the training stages, each a scalar mean over the batch."""

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from uav_jax.metrics.lpips import LPIPSWeights, lpips
from uav_jax.shapes import Video

LPIPS_WINDOW = 64
"""LPIPS is taken on a square of a crop, at half the cost."""


def mean_squared_error(
    prediction: Video, target: Video, weight: Float[Array, " B"] | None = None
) -> Float[Array, ""]:
    """The v-prediction loss: mean over every element, examples weighted if asked."""
    error = jnp.square(prediction - target)
    if weight is not None:
        error = error * weight[:, None, None, None, None]
    return jnp.mean(error)


def min_snr_weight(alpha: Float[Array, " B"], gamma: float) -> Float[Array, " B"]:
    """min(SNR, gamma) / (SNR + 1) for v-prediction (Hang et al., ICCV 2023, section 3.4).

    ``alpha`` is the cumulative product at each example's time; SNR = alpha / (1 - alpha).
    """
    snr = alpha / (1 - alpha)
    return jnp.minimum(snr, gamma) / (snr + 1)


def mean_absolute_error(prediction: Video, target: Video) -> Float[Array, ""]:
    """L1: mean over every element."""
    return jnp.mean(jnp.abs(prediction - target))


def kl_to_standard_normal(mean: Video, log_variance: Video) -> Float[Array, ""]:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) per element (Kingma & Welling, 2014, app. B)."""
    return 0.5 * jnp.mean(jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)


def hinge_discriminator_loss(real: Array, fake: Array) -> Float[Array, ""]:
    """Hinge loss of the discriminator's scores of real and of made patches (Lim & Ye, 2017)."""
    return 0.5 * (jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake)))


def generator_loss(fake: Array) -> Float[Array, ""]:
    """The generator's side of the hinge loss: made patches should score high."""
    return -jnp.mean(fake)


def adaptive_weight(reconstruction: Array, adversarial: Array) -> Float[Array, ""]:
    """|gradient of the reconstruction| / |gradient of the adversarial loss|, at most 1e4.

    Both with respect to the kernel of the decoder's last layer (Esser et al., CVPR 2021, eq. 7).
    """
    ratio = jnp.linalg.norm(reconstruction) / (jnp.linalg.norm(adversarial) + 1e-4)
    return jnp.minimum(ratio, 1e4)


def change_error(prediction: Video, target: Video) -> Float[Array, ""]:
    """L1 between the changes from each frame to the next: what flickers is charged for it."""
    return mean_absolute_error(jnp.diff(prediction, axis=1), jnp.diff(target, axis=1))


def _square(video: Video, place: Float[Array, " 2"] | None) -> Video:
    """The square that LPIPS is taken on: the middle, or at ``place`` (0 to 1, down and across)."""
    room = [size - min(size, LPIPS_WINDOW) for size in video.shape[2:4]]
    if place is None:
        top, left = room[0] // 2, room[1] // 2
    else:
        top, left = jnp.round(place * jnp.asarray(room)).astype(jnp.int32)
    B, T, H, W, C = video.shape
    shape = (B, T, min(H, LPIPS_WINDOW), min(W, LPIPS_WINDOW), C)
    return jax.lax.dynamic_slice(video, (0, 0, top, left, 0), shape)


def reconstruction_loss(
    prediction: Video,
    target: Video,
    weights: LPIPSWeights,
    lpips_weight: float,
    *,
    stages: int = 3,
    change_weight: float = 0.0,
    place: Float[Array, " 2"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """L1, weighted LPIPS (VGG16, its first ``stages``) frame by frame, and weighted change error.

    LPIPS is taken on a square at ``place`` (fractions of the room there is; None: the middle).
    RGB in [-1, 1]. Returns (loss, parts).
    """
    l1 = mean_absolute_error(prediction, target)
    frames = [
        rearrange(_square(v, place), "b t h w c -> (b t) h w c") for v in (prediction, target)
    ]
    perceptual = jnp.mean(lpips(weights, *frames, stages=stages))
    value, parts = l1 + lpips_weight * perceptual, {"l1": l1, "lpips_vgg": perceptual}
    if change_weight:
        parts["change"] = change_error(prediction, target)
        value = value + change_weight * parts["change"]
    return value, parts
