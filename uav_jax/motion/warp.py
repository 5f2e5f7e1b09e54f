"""Warping by optical flow with PyTorch's sampling rules (``align_corners=True``)."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from uav_jax.shapes import Frames

Sampling = Literal["nearest", "bilinear"]
Outside = Literal["zeros", "border"]


def _pixel_coordinates(flow: Float[Array, "N H W 2"]) -> tuple[Array, Array]:
    _, H, W, _ = flow.shape
    columns, rows = jnp.meshgrid(jnp.arange(W), jnp.arange(H))
    return columns + flow[..., 0], rows + flow[..., 1]


def _gather(x: Frames, column: Array, row: Array, outside: Outside) -> Frames:
    """Pixels at integer positions (N, H, W); outside the image zero, or the nearest edge."""
    _, H, W, _ = x.shape
    inside = (column >= 0) & (column < W) & (row >= 0) & (row < H)
    column, row = jnp.clip(column, 0, W - 1), jnp.clip(row, 0, H - 1)
    batch = jnp.arange(x.shape[0])[:, None, None]
    values = x[batch, row.astype(jnp.int32), column.astype(jnp.int32)]
    return values if outside == "border" else jnp.where(inside[..., None], values, 0)


def warp(
    x: Frames,
    flow: Float[Array, "N H W 2"],
    *,
    sampling: Sampling = "bilinear",
    outside: Outside = "zeros",
) -> Frames:
    """``out(p) = x(p + flow(p))`` in pixels; what lies outside is zero or clamped to the border.

    Nearest sampling rounds half to even and works on pixel coordinates directly: going through
    normalised coordinates moves ties.
    """
    column, row = _pixel_coordinates(flow)
    if outside == "border":
        column = jnp.clip(column, 0, x.shape[2] - 1)
        row = jnp.clip(row, 0, x.shape[1] - 1)
    if sampling == "nearest":
        return _gather(x, jnp.round(column), jnp.round(row), outside)
    left, top = jnp.floor(column), jnp.floor(row)
    right_part, bottom_part = (column - left)[..., None], (row - top)[..., None]
    upper = (1 - right_part) * _gather(x, left, top, outside)
    upper += right_part * _gather(x, left + 1, top, outside)
    lower = (1 - right_part) * _gather(x, left, top + 1, outside)
    lower += right_part * _gather(x, left + 1, top + 1, outside)
    return (1 - bottom_part) * upper + bottom_part * lower


def consistency_mask(
    flow: Float[Array, "N H W 2"],
    reverse: Float[Array, "N H W 2"],
    *,
    alpha1: float | jax.Array = 0.001,
    alpha2: float | jax.Array = 0.05,
) -> Float[Array, "N H W 1"]:
    """1 where the two directions agree, else 0 (Sundaram et al., ECCV 2010, equation 5).

    ``|f(p) + b(p + f(p))|^2 < alpha1 (|f|^2 + |b|^2) + alpha2``, b sampled bilinearly.
    """
    back = warp(reverse, flow)
    difference = jnp.sum(jnp.square(flow + back), -1, keepdims=True)
    size = jnp.sum(jnp.square(flow), -1, keepdims=True)
    size += jnp.sum(jnp.square(back), -1, keepdims=True)
    return (difference < alpha1 * size + alpha2).astype(jnp.float32)
