"""Time-step embedding, rotary embedding, and relative position buckets."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from uav_jax.layers.linear import Linear
from uav_jax.shapes import PerSample


class Constant(nnx.Variable):
    """A value that comes with the checkpoint and is never trained."""


def sinusoidal_embedding(timesteps: PerSample, width: int) -> Float[Array, "B width"]:
    """cos then sin of ``t * 10000^(-i / (width / 2))`` (flip_sin_to_cos, no frequency shift)."""
    half = width // 2
    frequencies = jnp.exp(-math.log(10000.0) * jnp.arange(half, dtype=jnp.float32) / half)
    angles = timesteps.astype(jnp.float32)[:, None] * frequencies
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class TimestepEmbedding(nnx.Module):
    """Linear, SiLU, linear on the sinusoidal embedding: ``(B,) -> (B, out)``."""

    def __init__(
        self,
        width: int,
        out: int,
        *,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        self.width = width
        settings: dict[str, Any] = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.linear_1 = Linear(width, out, **settings)
        self.linear_2 = Linear(out, out, **settings)

    def __call__(self, timesteps: PerSample) -> Float[Array, "B out"]:
        return self.linear_2(
            jax.nn.silu(self.linear_1(sinusoidal_embedding(timesteps, self.width)))
        )


class RotaryFrequencies(nnx.Module):
    """The rotary embedding's frequencies: ``10000^(-2i / dims)`` unless a checkpoint differs."""

    def __init__(self, dims: int):
        freqs = 10000.0 ** (-np.arange(0, dims, 2, dtype=np.float32) / dims)
        self.freqs = Constant(jnp.asarray(freqs, jnp.float32))


def rotate(
    x: Float[Array, "*batch T P N d"], freqs: Float[Array, " half"]
) -> Float[Array, "*batch T P N d"]:
    """Rotates channel pairs (2i, 2i+1) of each head by ``position * freqs[i]`` (RoFormer, eq. 34).

    Position is the index on axis T; channels from ``2 * len(freqs)`` on are left as they are.
    """
    cos, sin = _rotation(x.shape[-4], x.shape[-1], freqs)
    return _turned(x, cos[:, None, None], sin[:, None, None])


def rotate_side_by_side(
    x: Float[Array, "*batch T P C"], freqs: Float[Array, " half"], heads: int
) -> Float[Array, "*batch T P C"]:
    """The same for heads that share one axis."""
    cos, sin = _rotation(x.shape[-3], x.shape[-1] // heads, freqs)
    return _turned(x, *(jnp.tile(y, (1, heads))[:, None] for y in (cos, sin)))


def _rotation(T: int, d: int, freqs: Array) -> tuple[Float[Array, "T d"], Float[Array, "T d"]]:
    angles = jnp.arange(T, dtype=jnp.float32)[:, None] * jnp.repeat(freqs, 2)
    still = ((0, 0), (0, d - angles.shape[1]))
    return jnp.pad(jnp.cos(angles), still, constant_values=1), jnp.pad(jnp.sin(angles), still)


def _turned(x: Array, cos: Array, sin: Array) -> Array:
    # (a, b) -> (-b, a) in every pair, as an exact product: no channel moves on its own.
    swap = np.kron(np.eye(x.shape[-1] // 2, dtype=np.float32), [[0, 1], [-1, 0]]).astype(x.dtype)
    turned = jnp.matmul(x, swap, precision="highest", preferred_element_type=jnp.float32)
    return (x * cos + turned * sin).astype(x.dtype)


def relative_position_buckets(frames: int, buckets: int = 32, max_distance: int = 32) -> np.ndarray:
    """Bucket of every (query, key) pair, ``(T, T)`` int (T5, bidirectional).

    Keys later than the query use the upper half; within a half, small distances are exact and
    larger ones logarithmic up to ``max_distance``.
    """
    relative = np.arange(frames)[None, :] - np.arange(frames)[:, None]
    half, distance = buckets // 2, np.abs(relative)
    exact = half // 2
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / exact) / math.log(
        max_distance / exact
    )
    large = np.minimum(exact + (ratio * (half - exact)).astype(np.int64), half - 1)
    return np.where(relative > 0, half, 0) + np.where(distance < exact, distance, large)
