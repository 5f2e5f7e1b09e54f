"""Artefacts of upscaling: steps on the grid of low-resolution pixels, and noise in flat regions.

Blocking compares the energy of differences across the borders of low-resolution pixels with that
of all other neighbours,

    B = mean_{x in G} |y(x + 1) - y(x)|^2 / mean_{x not in G} |y(x + 1) - y(x)|^2             (1)

over rows and columns, where G are the positions x = 3, 7, 11, ... A photograph has 1.

Noise gain compares what is finer than ``SMOOTH`` x ``SMOOTH`` pixels in a result y and in its truth
x, over the quarter of the truth's ``BLOCK`` x ``BLOCK`` blocks that vary least:

    N = sqrt((mean h(y)^2 + 1/4) / (mean h(x)^2 + 1/4)),    h(y) = y - box mean of y          (2)

in 8-bit units; 1/4, below the noise of rounding, keeps it finite for drawings.
"""

from functools import partial

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float, UInt8

from uav_jax.shapes import UPSCALE, Frames

SMOOTH, BLOCK, FLAT_PART = 5, 16, 0.25
FLOOR = 0.25


def _energies(frames: Frames, axis: int, grid: int) -> tuple[Array, Array]:
    """Mean squared differences ``(N,)`` across the grid and elsewhere, along ``axis``."""
    squared = jnp.square(jnp.diff(jnp.moveaxis(frames, axis, 1), axis=1))
    on_grid = jnp.arange(squared.shape[1]) % grid == grid - 1
    means = jnp.mean(squared, axis=(2, 3))
    on = jnp.sum(means * on_grid, 1) / jnp.maximum(jnp.sum(on_grid), 1)
    return on, jnp.sum(means * ~on_grid, 1) / jnp.sum(~on_grid)


def blocking_energy(frames: Frames, grid: int = UPSCALE) -> Float[Array, " N"]:
    """Equation (1) of each frame, differentiable, any value range.

    Args:
        frames: ``(N, H, W, C)``, larger than ``grid``.
        grid: Distance of the borders in pixels.
    """
    rows, columns = (_energies(frames, axis, grid) for axis in (1, 2))
    return (rows[0] + columns[0]) / jnp.maximum(rows[1] + columns[1], 1e-12)


@partial(jax.jit, static_argnames="grid")
def blocking(result: UInt8[Array, "T H W 3"], grid: int = UPSCALE) -> Float[Array, " T"]:
    """Equation (1) of each frame."""
    return blocking_energy(result.astype(jnp.float32), grid)


def _fine(frames: Frames) -> Frames:
    """h of equation (2), edges repeated."""
    half, window = SMOOTH // 2, (1, SMOOTH, SMOOTH, 1)
    padded = jnp.pad(frames, ((0, 0), (half, half), (half, half), (0, 0)), "edge")
    total = jax.lax.reduce_window(padded, 0.0, jax.lax.add, window, (1, 1, 1, 1), "VALID")
    return frames - total / SMOOTH**2


def _blocks(frames: Frames) -> Float[Array, "N P K"]:
    """Values of every whole block."""
    block = min(BLOCK, *frames.shape[1:3])
    rows, columns = (side // block * block for side in frames.shape[1:3])
    return rearrange(
        frames[:, :rows, :columns],
        "n (h a) (w b) c -> n (h w) (a b c)",
        a=block,
        b=block,
    )


@jax.jit
def noise_gain(
    result: UInt8[Array, "T H W 3"], truth: UInt8[Array, "T H W 3"]
) -> Float[Array, " T"]:
    """Equation (2) of each frame; above 1, noise was added. Smaller frames are one block or row."""
    y, x = result.astype(jnp.float32), truth.astype(jnp.float32)
    variance = jnp.var(_blocks(x), axis=-1)
    flat = variance <= jnp.quantile(variance, FLAT_PART, axis=1, keepdims=True)
    energies = [
        jnp.sum(jnp.mean(jnp.square(_blocks(_fine(v))), -1) * flat, 1) / jnp.sum(flat, 1)
        for v in (y, x)
    ]
    return jnp.sqrt((energies[0] + FLOOR) / (energies[1] + FLOOR))
