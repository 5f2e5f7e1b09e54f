"""Latents to frames: groups of frames (three, as published), tile by tile, blended."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from uav_jax import programs
from uav_jax.diffusion.sampler import Places
from uav_jax.diffusion.windows import plan_windows
from uav_jax.models.vae.config import PUBLISHED_GROUP
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.shapes import UPSCALE, Video


@partial(jax.jit, static_argnames="graph")
def decode_program(graph, state, latents: Video, low_res: Video, weight: Array) -> Video:
    """Scaled latents to frames in [-1, 1]; one program for every shape."""
    vae = nnx.merge(graph, state)
    frames = vae.decode(latents / vae.config.scaling_factor, low_res, weight)
    return jnp.clip(frames, -1, 1)


def decode_group(
    vae: VideoAutoencoder,
    latents: Float[Array, "B T h w 4"],
    low_res: Float[Array, "B T h w 3"],
    weight: float = 1.0,
) -> Float[Array, "B T H W 3"]:
    """Groups of scaled latents to frames in [-1, 1]; ``low_res`` are the clean frames."""
    inputs = (jnp.asarray(latents), jnp.asarray(low_res), jnp.float32(weight))
    return programs.call(decode_program, vae.config, nnx.split(vae), inputs)


Group = list[tuple[int, int, np.ndarray]]
"""Parts ``(first, last + 1, weight of each frame)`` whose weighted frames make up a stretch."""


def plan_groups(
    frames: int, start: int, stop: int, overlap: int, group: int = PUBLISHED_GROUP
) -> list[tuple[int, int, Group]]:
    """Stretches of a scene of ``frames`` frames between ``start`` and ``stop``, and their groups.

    A group has ``group`` frames: norms and 3-D convolutions see all of them. Without ``overlap`` a
    stretch is a group, as published. With it, groups share that many frames and what both made of a
    frame is averaged.
    """
    if not overlap:
        spans = [(s, min(s + group, stop)) for s in range(start, stop, group)]
        return [(a, b, [(a, b, np.ones(b - a, np.float32))]) for a, b in spans]
    plan = plan_windows(frames, start, stop, window=group, stride=group - overlap)
    found = []
    for a in range(start, stop, group):
        b, parts = min(a + group, stop), []
        for first, weights in zip(plan.starts, plan.weights, strict=True):
            of_stretch = weights[a - plan.first : b - plan.first]
            if of_stretch.any():
                at = plan.first + first
                parts.append((at, at + plan.length, of_stretch))
        found.append((a, b, parts))
    return found


def decode_frames(
    vae: VideoAutoencoder,
    latents: np.ndarray,
    low_res: np.ndarray,
    places: Places,
    shares: np.ndarray,
    weight: float = 1.0,
    *,
    at_once: int = 1,
    sharding: jax.sharding.Sharding | None = None,
) -> Float[np.ndarray, "T H W 3"]:
    """A group ``(T, h, w, C)`` to frames in [-1, 1]; ``shares`` are those of ``places`` enlarged.

    ``at_once`` tiles go through the decoder together, divided as ``sharding`` says.
    """
    T, height, width, _ = low_res.shape
    _, h, w, _ = places.shares.shape
    canvas = np.zeros((T, UPSCALE * height, UPSCALE * width, 3), np.float32)
    count = len(places.corners)
    for first in range(0, count, at_once):
        corners = places.corners[first : first + at_once]
        filled = [*corners, *[corners[-1]] * (at_once - len(corners))]
        parts = [
            np.stack([clip[:, y : y + h, x : x + w] for y, x in filled])
            for clip in (latents, low_res)
        ]
        placed = [
            jnp.asarray(p) if sharding is None else jax.device_put(p, sharding) for p in parts
        ]
        made = np.asarray(decode_group(vae, placed[0], placed[1], weight))
        for (y, x), share, frames in zip(corners, shares[first:], made, strict=False):
            rows = slice(UPSCALE * y, UPSCALE * (y + h))
            canvas[:, rows, UPSCALE * x : UPSCALE * (x + w)] += share * frames
    return canvas
