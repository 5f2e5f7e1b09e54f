"""Latents to frames, group by group and tile by tile."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.pipeline.tiling import Tile, blend_weights
from uav_jax.shapes import UPSCALE, Video

GROUP = 3
"""Frames decoded together: the norms and 3-D convolutions see a group, so its size matters."""


@partial(jax.jit, static_argnames="graph")
def _decode(graph, state, latents: Video, low_res: Video, weight: Array) -> Video:
    vae = nnx.merge(graph, state)
    frames = vae.decode(latents / vae.config.scaling_factor, low_res, weight)
    return jnp.clip(frames, -1, 1)


def decode_group(
    vae: VideoAutoencoder,
    latents: Float[Array, "1 T h w 4"],
    low_res: Float[Array, "1 T h w 3"],
    weight: float = 1.0,
) -> Float[Array, "1 T H W 3"]:
    """One group of scaled latents to frames in [-1, 1]; ``low_res`` are the clean frames."""
    graph, state = nnx.split(vae)
    return _decode(graph, state, latents, low_res, jnp.float32(weight))


def decode_clip(
    vae: VideoAutoencoder,
    latents: np.ndarray,
    low_res: np.ndarray,
    tiles: list[Tile],
    weight: float = 1.0,
) -> Iterator[np.ndarray]:
    """Groups of frames ``(<= 3, H, W, 3)`` in [-1, 1] of a clip ``(T, h, w, C)``, in order.

    Tiles are decoded one after the other and blended, so memory holds one group.
    """
    height, width = low_res.shape[1:3]
    shares = blend_weights(tiles, height, width, UPSCALE) if len(tiles) > 1 else [None]
    for start in range(0, len(latents), GROUP):
        group = slice(start, start + GROUP)
        canvas = None
        for tile, share in zip(tiles, shares, strict=True):
            rows, columns = tile.slices()
            condition = jnp.asarray(low_res[group, rows, columns])[None]
            part = decode_group(
                vae, jnp.asarray(latents[group, rows, columns])[None], condition, weight
            )
            part = np.asarray(part[0])
            if share is None:
                canvas = part
                break
            if canvas is None:
                shape = (part.shape[0], UPSCALE * height, UPSCALE * width, 3)
                canvas = np.zeros(shape, np.float32)
            rows, columns = tile.slices(UPSCALE)
            canvas[:, rows, columns] += share * part
        assert canvas is not None
        yield canvas
