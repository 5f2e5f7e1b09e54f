"""Phrases that the default model's prompts are made of, and what each of them asks for.

Each training record draws some phrases. Its targets y, the truth and the teacher's result alike,
change as follows:

    drawing          y <- y + min(s, 1) (d - y): flat areas and clean lines
    smooth           y <- y - min(s, 1) (y - blur(y))
    sharp            y <- y + s SHARPENING (y - blur(y))
    keep film grain  y <- y + s enlarge(clip(h(c - reduce(x))))

with s the phrase's strength, d the result of a teacher for drawings, c the low-resolution frame, x
the truth and h what is finer than 3 x 3 pixels.
"""

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from uav_jax.shapes import UPSCALE, Frames

PHRASES = ("drawing", "smooth", "sharp", "keep film grain")
NOT_OF_DAMAGE = np.array([0, 1, 1, 0], np.float32)
"""1 for the phrases whose targets do not depend on how the input was degraded."""

PHRASE_PROBABILITY = 0.35
"""Of each phrase, in a record that has any."""

BLUR_SIGMA, SHARPENING = 1.6, 0.8
MAX_GRAIN = 0.1
"""Limit of the difference of input and truth; larger ones are lost edges, not grain."""


def draw_phrases(rng: np.random.Generator, plain_probability: float) -> Float[np.ndarray, " P"]:
    """1 for every phrase of a record's prompt, 0 for the others; never both smooth and sharp.

    Args:
        rng: Of the record.
        plain_probability: Of a record without any phrase.
    """
    chosen = (rng.random(len(PHRASES)) < PHRASE_PROBABILITY).astype(np.float32)
    if rng.random() < plain_probability:
        chosen[:] = 0
    if chosen[PHRASES.index("smooth")]:
        chosen[PHRASES.index("sharp")] = 0
    return chosen


def prompt_of(chosen: Float[np.ndarray, " P"]) -> str:
    """The phrases, separated by commas."""
    return ", ".join(phrase for phrase, one in zip(PHRASES, chosen, strict=True) if one)


def _along_both(frames: Frames, weights: list[float]) -> Frames:
    """A separable filter of odd length along rows and columns, borders repeated."""
    half = len(weights) // 2
    for axis in (1, 2):
        padding = [(half, half) if i == axis else (0, 0) for i in range(4)]
        padded, size = jnp.pad(frames, padding, "edge"), frames.shape[axis]
        frames = sum(
            w * jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i, w in enumerate(weights)
        )  # pyright: ignore[reportAssignmentType]
    return frames


def _blurred(frames: Frames) -> Frames:
    reach = int(3 * BLUR_SIGMA)
    bell = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / BLUR_SIGMA))
    return _along_both(frames, [float(w) for w in bell / bell.sum()])


def _images(video: Float[Array, "B T H W C"]) -> Frames:
    return rearrange(video, "b t h w c -> (b t) h w c")


def fine_part(video: Float[Array, "B T H W 3"]) -> Float[Array, "B T H W 3"]:
    """What a blur of ``BLUR_SIGMA`` takes away."""
    return video - _blurred(_images(video)).reshape(video.shape)


def grain_of_input(
    low_res: Float[Array, "N h w 3"], truth: Float[Array, "N H W 3"]
) -> Float[Array, "N H W 3"]:
    """What the low-resolution frames have that the truth lacks, fine and weak, enlarged."""
    reduced = rearrange(truth, "n (h a) (w b) c -> n h w a b c", a=UPSCALE, b=UPSCALE)
    difference = low_res - reduced.mean((-3, -2))
    fine = difference - _along_both(difference, [1 / 3] * 3)
    return jax.image.resize(jnp.clip(fine, -MAX_GRAIN, MAX_GRAIN), truth.shape, "cubic")


def apply_phrases(
    target: Float[Array, "B T H W 3"],
    drawing: Float[Array, "B T H W 3"],
    low_res: Float[Array, "B T h w 3"],
    truth: Float[Array, "B T H W 3"],
    strength: Float[Array, "B P"],
) -> Float[Array, "B T H W 3"]:
    """The target that a prompt asks for.

    Args:
        target: The truth or the teacher's result, in [-1, 1] like all frames here.
        drawing: The result of the teacher for drawings.
        low_res: The degraded frames.
        truth: The undamaged frames.
        strength: s of every phrase, 0 where the prompt does not have it.
    """
    by_phrase = jnp.moveaxis(strength, -1, 0)[:, :, None, None, None, None]
    s = dict(zip(PHRASES, by_phrase, strict=True))
    target = target + jnp.minimum(s["drawing"], 1) * (drawing - target)

    grain = grain_of_input(_images(low_res), _images(truth)).reshape(target.shape)
    sharpening = SHARPENING * s["sharp"] - jnp.minimum(s["smooth"], 1)
    return target + sharpening * fine_part(target) + s["keep film grain"] * grain
