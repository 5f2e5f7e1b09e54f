"""Temporal consistency: the warping error E*warp (Lai et al., ECCV 2018, equation 9).

    E_t = mean_{p in M_t} |y_{t+1}(p + f_t(p)) - y_t(p)|^2,   E*warp = 1000 mean_t E_t       (1)

y are RGB frames in [0, 1] of the clip that is scored; the flow f_t and the mask M_t of pixels that
are visible in both frames come from the *truth*, so that a blurred clip gains nothing by it. Flow
is scikit-image's iterative Lucas-Kanade (Le Besnerais & Champagnat, 2005). A pixel counts where
forward and backward flow agree, |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, and where its target lies
in the frame. Numbers with another flow differ; compare within one table.
"""

from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from uav_jax.motion.warp import consistency_mask, warp

MASK = {"alpha1": 0.01, "alpha2": 0.5}
SCALE = 1000.0


@dataclass(frozen=True, slots=True)
class TruthMotion:
    """Flow from each truth frame to the next, in pixels (dx, dy), and where it can be trusted."""

    forward: Float[np.ndarray, "P H W 2"]
    mask: Float[np.ndarray, "P H W 1"]


def lucas_kanade(a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, "H W 2"]:
    """Flow (dx, dy) in pixels between uint8 RGB frames: b(p + flow(p)) looks like a(p)."""
    from skimage.color import rgb2gray
    from skimage.registration import optical_flow_ilk

    rows, columns = optical_flow_ilk(rgb2gray(a), rgb2gray(b), radius=7, dtype=np.float32)
    return np.stack([columns, rows], -1).astype(np.float32)


def truth_motion(truth: UInt8[np.ndarray, "T H W 3"]) -> TruthMotion:
    """Motion of a clip of at least two frames."""
    pairs = list(pairwise(truth))
    forward = np.stack([lucas_kanade(a, b) for a, b in pairs])
    backward = np.stack([lucas_kanade(b, a) for a, b in pairs])
    return TruthMotion(forward, np.asarray(_mask(forward, backward)))


@jax.jit
def _mask(forward: Array, backward: Array) -> Array:
    inside = warp(jnp.ones((*forward.shape[:-1], 1)), forward) > 0.999
    return consistency_mask(forward, backward, **MASK) * inside


@jax.jit
def _squared_error(frames: Array, forward: Array, mask: Array) -> Array:
    frames = frames.astype(jnp.float32) / 255
    error = jnp.square(warp(frames[1:], forward) - frames[:-1]) * mask
    area = jnp.maximum(mask.sum((1, 2, 3)) * frames.shape[-1], 1)
    return error.sum((1, 2, 3)) / area


def warping_error(
    frames: UInt8[np.ndarray, "T H W 3"], motion: TruthMotion
) -> Float[np.ndarray, " P"]:
    """Equation (1) before the mean over time, times 1000; 0 is perfectly steady."""
    return SCALE * np.asarray(_squared_error(frames, motion.forward, motion.mask))
