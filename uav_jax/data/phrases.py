"""Phrases that the default model's prompts are made of, and what each of them asks for.

A record is trained with some of them. Its goals, the truth and the teacher's result alike, change:

    drawing          g <- g + min(s, 1) (d - g): flat areas and clean lines
    smooth           g <- g - min(s, 1) (g - blur(g))
    sharp            g <- g + s SHARPENING (g - blur(g))
    keep film grain  g <- g + s enlarge(clip(h(c - reduce(x))))

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

PLAIN_PROBABILITY, PHRASE_PROBABILITY = 0.4, 0.35
"""Of a record without any phrase; of each phrase in another record."""

BLUR_SIGMA, SHARPENING = 1.6, 0.8
MAX_GRAIN = 0.1
"""Larger differences between input and truth are edges that lost their sharpness, no grain."""


def draw_phrases(rng: np.random.Generator) -> Float[np.ndarray, " 4"]:
    """1 for every phrase of a record's prompt, 0 for the others; never both smooth and sharp."""
    chosen = (rng.random(len(PHRASES)) < PHRASE_PROBABILITY).astype(np.float32)
    if rng.random() < PLAIN_PROBABILITY:
        chosen[:] = 0
    if chosen[PHRASES.index("smooth")]:
        chosen[PHRASES.index("sharp")] = 0
    return chosen


def prompt_of(chosen: Float[np.ndarray, " 4"]) -> str:
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


def film_grain(
    low_res: Float[Array, "N h w 3"], truth: Float[Array, "N H W 3"]
) -> Float[Array, "N H W 3"]:
    """What the low-resolution frames have that the truth lacks, fine and weak, enlarged."""
    reduced = rearrange(truth, "n (h a) (w b) c -> n h w a b c", a=UPSCALE, b=UPSCALE)
    difference = low_res - reduced.mean((-3, -2))
    fine = difference - _along_both(difference, [1 / 3] * 3)
    return jax.image.resize(jnp.clip(fine, -MAX_GRAIN, MAX_GRAIN), truth.shape, "cubic")


def prompted(
    goal: Float[Array, "B T H W 3"],
    drawing: Float[Array, "B T H W 3"],
    low_res: Float[Array, "B T h w 3"],
    truth: Float[Array, "B T H W 3"],
    strength: Float[Array, "B 4"],
) -> Float[Array, "B T H W 3"]:
    """The goal that a prompt asks for.

    Args:
        goal: The truth or the teacher's result, in [-1, 1] like all frames here.
        drawing: The result of the teacher for drawings.
        low_res: The degraded frames.
        truth: The undamaged frames.
        strength: s of every phrase, 0 where the prompt does not have it.
    """
    of = dict(
        zip(PHRASES, jnp.moveaxis(strength, -1, 0)[:, :, None, None, None, None], strict=True)
    )
    goal = goal + jnp.minimum(of["drawing"], 1) * (drawing - goal)

    def flat(video: Array) -> Array:
        return rearrange(video, "b t h w c -> (b t) h w c")

    blurred = _blurred(flat(goal)).reshape(goal.shape)
    grain = film_grain(flat(low_res), flat(truth)).reshape(goal.shape)
    fine = goal - blurred
    return (
        goal
        + (SHARPENING * of["sharp"] - jnp.minimum(of["smooth"], 1)) * fine
        + of["keep film grain"] * grain
    )
