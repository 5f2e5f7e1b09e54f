"""Losses of the training stages, each a scalar mean over the batch."""

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from uav_jax.metrics.lpips import LPIPSWeights, lpips
from uav_jax.shapes import Frames, Video


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


def generator_loss(
    fake: Float[Array, "B T h w 1"], importance: Float[Array, " B"] | None = None
) -> Float[Array, ""]:
    """The generator's side of the hinge loss: made patches should score high."""
    if importance is not None:
        fake = fake * importance[:, None, None, None, None]
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


def _window(video: Video, frames: int | None, side: int, place: Float[Array, " 3"] | None) -> Video:
    """The part that LPIPS is taken on: the middle, or at ``place`` (in time, down and across)."""
    B, T, H, W, C = video.shape
    sizes = (min(T, frames or T), min(H, side), min(W, side))
    room = np.array(video.shape[1:4]) - sizes
    if place is None:
        start = jnp.asarray(room // 2)
    else:
        start = jnp.minimum(jnp.floor(place * (room + 1)), room).astype(jnp.int32)
    return jax.lax.dynamic_slice(video, (0, *start, 0), (B, *sizes, C))


def _halved(x: Frames) -> Frames:
    """Half the height and width: means of 2 x 2 pixels."""
    return rearrange(x, "n (h a) (w b) c -> n h w a b c", a=2, b=2).mean((-3, -2))


def perceptual_error(
    prediction: Video,
    target: Video,
    weights: LPIPSWeights,
    *,
    stages: int,
    window: int,
    frames: int | None,
    scales: int,
    place: Float[Array, " 3"] | None,
) -> Float[Array, " B"]:
    """LPIPS (VGG16, its first ``stages``) of every clip, on a part; see ``reconstruction_loss``.

    The mean over frames, of the window and of the window at 1/2, 1/4, ... of its size (``scales``).
    """
    images = [
        rearrange(_window(v, frames, window, place), "b t h w c -> (b t) h w c")
        for v in (prediction, target)
    ]
    perceptual = lpips(weights, *images, stages=stages)
    for _ in range(scales - 1):
        images = [_halved(x) for x in images]
        perceptual += lpips(weights, *images, stages=stages)
    return jnp.mean(perceptual.reshape(prediction.shape[0], -1), axis=1) / scales


def reconstruction_loss(
    prediction: Video,
    target: Video,
    weights: LPIPSWeights,
    lpips_weight: float,
    *,
    stages: int = 3,
    window: int = 64,
    frames: int | None = None,
    scales: int = 1,
    change_weight: float = 0.0,
    place: Float[Array, " 3"] | None = None,
    importance: Float[Array, " B"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """L1, weighted LPIPS (VGG16) and weighted change error; a weight of 0 computes nothing.

    LPIPS is taken on ``frames`` frames (None: all) of a square of ``window`` pixels, at ``place``
    (fractions of the room there is in time, down and across; None: the middle), and a clip's counts
    by its ``importance`` (None: 1).
    RGB in [-1, 1]. Returns (loss, parts).
    """
    value = mean_absolute_error(prediction, target)
    parts = {"l1": value}
    if lpips_weight:
        perceptual = perceptual_error(
            prediction,
            target,
            weights,
            stages=stages,
            window=window,
            frames=frames,
            scales=scales,
            place=place,
        )
        parts["lpips_vgg"] = jnp.mean(perceptual)
        weighted = perceptual if importance is None else perceptual * importance
        value = value + lpips_weight * jnp.mean(weighted)
    if change_weight:
        parts["change"] = change_error(prediction, target)
        value = value + change_weight * parts["change"]
    return value, parts
