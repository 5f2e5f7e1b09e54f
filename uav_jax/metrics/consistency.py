"""Temporal consistency: the warping error E*warp (Lai et al., ECCV 2018, equation 9), and flicker.

    E_t = mean_{p in M_t} |y_{t+1}(p + f_t(p)) - y_t(p)|^2,   E*warp = 1000 mean_t E_t       (1)

y are RGB frames in [0, 1] of the clip that is scored. The flow f_t and the mask M_t of pixels that
are visible in both frames come from the *truth*, so that a blurred clip gains nothing by it; the
self-consistency variant takes them from the scored clip itself, which needs no truth but rewards
blur. Flow is scikit-image's iterative Lucas-Kanade (Le Besnerais & Champagnat, 2005) on frames
reduced by the smallest whole factor that leaves at most ``TRUTH_PIXELS`` or ``SELF_PIXELS``. A
pixel counts where forward and backward flow agree, |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, and
where its target lies in the frame. Numbers with another flow differ; compare within one table.

Flicker is what changes direction from frame to frame:

    F_t = mean_p |y_{t-1} - 2 y_t + y_{t+1}| / 2   in 8-bit units                             (2)

which steady brightening and slow motion leave near 0; the truth's own value stands beside it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from uav_jax.motion.warp import consistency_mask, warp

MASK = {"alpha1": 0.01, "alpha2": 0.5}
SCALE = 1000.0
TRUTH_PIXELS = 300_000
SELF_PIXELS = 75_000
"""At most so many pixels of a frame go into the flow of equation (1) and of its variant."""


class Motion(NamedTuple):
    """Flow from a frame to the next, in pixels (dx, dy), and where it can be trusted."""

    forward: Float[Array, "H W 2"]
    mask: Float[Array, "H W 1"]


def _factor(height: int, width: int, pixels: int) -> int:
    factor = 1
    while (height // factor) * (width // factor) > pixels:
        factor += 1
    return factor


def lucas_kanade(
    a: UInt8[np.ndarray, "H W 3"], b: UInt8[np.ndarray, "H W 3"], pixels: int = TRUTH_PIXELS
) -> Float[np.ndarray, "H W 2"]:
    """Flow (dx, dy) in pixels between frames: b(p + flow(p)) looks like a(p)."""
    from skimage.color import rgb2gray
    from skimage.registration import optical_flow_ilk
    from skimage.transform import downscale_local_mean, resize

    height, width = a.shape[:2]
    factor = _factor(height, width, pixels)
    gray = [downscale_local_mean(rgb2gray(frame), (factor, factor)) for frame in (a, b)]
    rows, columns = optical_flow_ilk(*gray, radius=7, dtype=np.float32)
    flow = np.stack([columns, rows], -1).astype(np.float32)
    if factor == 1:
        return flow
    flow = resize(flow, (height, width, 2), order=1, preserve_range=True, anti_aliasing=False)
    return np.asarray(factor * flow, np.float32)


def motion(
    a: UInt8[np.ndarray, "H W 3"], b: UInt8[np.ndarray, "H W 3"], pixels: int = TRUTH_PIXELS
) -> Motion:
    """Motion from frame ``a`` to frame ``b``."""
    forward, backward = lucas_kanade(a, b, pixels), lucas_kanade(b, a, pixels)
    return Motion(jnp.asarray(forward), _mask(forward, backward))


@jax.jit
def _mask(forward: Array, backward: Array) -> Array:
    forward, backward = forward[None], backward[None]
    inside = warp(jnp.ones((*forward.shape[:-1], 1)), forward) > 0.999
    return (consistency_mask(forward, backward, **MASK) * inside)[0]


@jax.jit
def warping_error(
    a: UInt8[Array, "H W 3"], b: UInt8[Array, "H W 3"], motion: Motion
) -> Float[Array, ""]:
    """Equation (1) before the mean over time, times 1000, of neighbouring frames; 0 is steady."""
    first, second = (frame.astype(jnp.float32) / 255 for frame in (a, b))
    error = jnp.square(warp(second[None], motion.forward[None])[0] - first) * motion.mask
    return SCALE * jnp.sum(error) / jnp.maximum(jnp.sum(motion.mask) * first.shape[-1], 1)


@jax.jit
def flicker(
    before: UInt8[Array, "H W 3"], frame: UInt8[Array, "H W 3"], after: UInt8[Array, "H W 3"]
) -> Float[Array, ""]:
    """Equation (2) for three neighbouring frames."""
    x, y, z = (f.astype(jnp.float32) for f in (before, frame, after))
    return jnp.mean(jnp.abs(x - 2 * y + z)) / 2
