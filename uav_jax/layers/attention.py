"""Attention over text, over space and over time.

softmax(q k^T / sqrt(d) + bias) v,   scores and softmax in float32.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from uav_jax.layers.embedding import relative_position_buckets, rotate, rotate_side_by_side
from uav_jax.layers.linear import Embed, Fold, Linear
from uav_jax.shapes import Video

MAX_SCORES = 2**25
"""Scores materialised at once (float32 values); larger attention is computed in query chunks."""

FEW_KEYS = 4
"""Keys for each of a head's channels up to which scores are about as large as queries."""

SMALLEST_CHUNK = 64
"""Queries that are computed together however large the batch: it may be divided over devices."""


def _attend(q: Array, k: Array, v: Array, bias: Array | None) -> Array:
    scores = jnp.einsum("bqnd,bknd->bnqk", q, k, preferred_element_type=jnp.float32)
    if bias is not None:
        scores = scores + bias
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bnqk,bknd->bqnd", weights, v)


def _chunk(B: int, Q: int, N: int, K: int, d: int) -> int:
    """Queries to compute at once."""
    return Q if FEW_KEYS * d >= K else max(SMALLEST_CHUNK, MAX_SCORES // (B * N * K))


def attention(
    q: Float[Array, "B Q N d"],
    k: Float[Array, "B K N d"],
    v: Float[Array, "B K N d"],
    bias: Float[Array, "N Q K"] | None = None,
) -> Float[Array, "B Q N d"]:
    """Attention with queries that are already scaled; exact, in bounded memory.

    Above ``MAX_SCORES`` scores the queries are walked in chunks, so nothing of size Q x K exists,
    also not in the backward pass; with few keys (text) that is no more than the queries themselves.
    ``bias`` is only supported for sizes that need no chunks (causal text, time).
    """
    B, Q, N, d = q.shape
    chunk = _chunk(B, Q, N, k.shape[1], d)
    if chunk >= Q or bias is not None:
        return _attend(q, k, v, bias)
    chunks = -(-Q // chunk)
    q = jnp.pad(q, ((0, 0), (0, chunks * chunk - Q), (0, 0), (0, 0)))
    parts = jnp.moveaxis(q.reshape(B, chunks, chunk, N, d), 1, 0)
    # Only queries are walked: a loop over B would gather a batch that is divided over devices.
    out = jax.lax.map(jax.checkpoint(lambda part: _attend(part, k, v, None)), parts)
    return jnp.moveaxis(out, 0, 1).reshape(B, chunks * chunk, N, d)[:, :Q]


LANES = 128
"""Channels that a TPU holds side by side."""


def _attend_heads(heads: int, q: Array, k: Array, v: Array) -> Array:
    """Attention of heads that share one axis: ``(B, Q, C)``, ``(B, K, C)`` twice -> ``(B, Q, C)``.

    On TPU heads that fill whole lanes are cut out there, one after the other, and nothing moves.
    """

    def together(q: Array, k: Array, v: Array) -> Array:
        q, k, v = (x.reshape(*x.shape[:2], heads, -1) for x in (q, k, v))
        return attention(q, k, v).reshape(*q.shape[:2], -1)

    def one_by_one(q: Array, k: Array, v: Array) -> Array:
        parts = zip(*(jnp.split(x, heads, axis=-1) for x in (q, k, v)), strict=True)
        return jnp.concatenate([head(*part) for part in parts], axis=-1)

    def head(q: Array, k: Array, v: Array) -> Array:
        scores = jnp.einsum("bqd,bkd->bqk", q, k, preferred_element_type=jnp.float32)
        return jnp.einsum("bqk,bkd->bqd", jax.nn.softmax(scores, axis=-1).astype(v.dtype), v)

    (B, Q, C), K = q.shape, k.shape[1]
    if C % (heads * LANES) or _chunk(B, Q, heads, K, C // heads) < Q:
        return together(q, k, v)
    return jax.lax.platform_dependent(q, k, v, tpu=one_by_one, default=together)


def _attend_over_time(q: Array, k: Array, v: Array, freqs: Array, bias_NTS: Array) -> Array:
    """Attention over T of ``(B, T, P, C)`` at each of P places; N heads, as ``bias_NTS`` has."""
    q, k, v = (x.reshape(*x.shape[:3], len(bias_NTS), -1) for x in (q, k, v))
    q, k = rotate(q, freqs), rotate(k, freqs)
    scores = jnp.einsum("btpnd,bspnd->bpnts", q, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(scores + bias_NTS, axis=-1).astype(v.dtype)
    out = jnp.einsum("bpnts,bspnd->btpnd", weights, v)
    return out.reshape(*out.shape[:3], -1)


def _attend_side_by_side(q: Array, k: Array, v: Array, freqs: Array, bias_NTS: Array) -> Array:
    """The same for a few frames without moving heads out of their channels.

    Every pair of frames is multiplied element by element, and a product with a constant matrix sums
    each head's channels; a weight times its frame is summed over frames in the same way. A TPU
    multiplies elements on their way into its matrix unit; the products of 8 x d matrices of the
    other form cost it more in copies than in arithmetic.
    """
    N, (T, d) = len(bias_NTS), (q.shape[1], q.shape[-1] // len(bias_NTS))
    q, k = (rotate_side_by_side(x, freqs, N) for x in (q, k))
    heads_CN = jnp.asarray(np.kron(np.eye(N), np.ones((d, 1))), v.dtype)
    products_BTSPC = q[:, :, None] * k[:, None]
    scores = jnp.matmul(products_BTSPC, heads_CN, preferred_element_type=jnp.float32)
    bias_TSPN = jnp.moveaxis(bias_NTS, 0, -1)[:, :, None]
    scores = scores + bias_TSPN
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(2, keepdims=True)))
    total_BTPN = weights.sum(2)
    weighed_BTSPNd = weights.astype(v.dtype)[..., None] * v.reshape(*v.shape[:3], N, d)[:, None]
    frames_Sdd = jnp.asarray(np.tile(np.eye(d), (T, 1, 1)), v.dtype)
    out = jnp.einsum(
        "btspnd,sde->btpne", weighed_BTSPNd, frames_Sdd, preferred_element_type=jnp.float32
    )
    return (out / total_BTPN[..., None]).astype(v.dtype).reshape(q.shape)


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``x`` times the normal distribution function of ``x``.

    Exact in float32. For 16 bits by a fitted ``x / (1 + exp(-x p(x^2)))``, less than 3e-5 from it:
    far below their rounding, and a quarter of the operations.
    """
    if x.dtype.itemsize > 2:
        return jax.nn.gelu(x, approximate=False)
    wide = x.astype(jnp.float32)
    square = jnp.minimum(wide * wide, 64)
    slope = jnp.polyval(jnp.asarray(GELU, jnp.float32), square)
    return (wide * (0.5 + 0.5 * jnp.tanh(0.5 * wide * slope))).astype(x.dtype)


GELU = (1.23948779e-06, -7.17288469e-04, 7.40557344e-02, 1.59498504)
"""p's coefficients, highest power first; the greatest difference was minimised over 0..12."""


class CrossAttention(nnx.Module):
    """Multi-head attention from tokens to a context (to themselves if none is given)."""

    def __init__(
        self,
        channels: int,
        context_channels: int,
        heads: int,
        *,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        settings: dict[str, Any] = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.heads = heads
        self.to_q = Linear(channels, channels, use_bias=False, **settings)
        self.to_k = Linear(context_channels, channels, use_bias=False, **settings)
        self.to_v = Linear(context_channels, channels, use_bias=False, **settings)
        self.to_out = Linear(channels, channels, **settings)

    def __call__(
        self,
        x: Video,
        context: Float[Array, "B L D"] | None = None,
        *,
        fold: Fold | None = None,
    ) -> Video:
        """``x`` is B T H W C. With a context every frame attends to it; without, to its own H*W."""
        B, T, _, _, C = x.shape
        q = self.to_q(x, fold=fold) * (C // self.heads) ** -0.5
        if context is None:
            rows, k, v = B * T, self.to_k(x, fold=fold), self.to_v(x, fold=fold)
        else:
            rows, k, v = B, self.to_k(context), self.to_v(context)
        q, k, v = (y.reshape(rows, -1, C) for y in (q, k, v))
        return self.to_out(_attend_heads(self.heads, q, k, v).reshape(x.shape))


class TemporalAttention(nnx.Module):
    """Attention over T at each pixel, with rotary embedding and a T5 relative position bias.

    Order as published: queries are scaled, then queries and keys are rotated, then the bias is
    added to the scores. ``to_out`` starts at zero so that the untrained layer changes nothing.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        buckets: int = 32,
        max_distance: int = 32,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        settings: dict[str, Any] = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.heads, self.buckets, self.max_distance = heads, buckets, max_distance
        self.to_q = Linear(channels, channels, use_bias=False, **settings)
        self.to_k = Linear(channels, channels, use_bias=False, **settings)
        self.to_v = Linear(channels, channels, use_bias=False, **settings)
        self.to_out = Linear(channels, channels, zero_init=True, **settings)
        self.relative_attention_bias = Embed(
            buckets, heads, dtype=jnp.float32, param_dtype=param_dtype, rngs=rngs
        )

    def __call__(
        self, x: Video, freqs: Float[Array, " half"], *, fold: Fold | None = None
    ) -> Video:
        B, T, H, W, C = x.shape
        layers = (self.to_q, self.to_k, self.to_v)
        q, k, v = (layer(x, fold=fold).reshape(B, T, H * W, C) for layer in layers)
        buckets = relative_position_buckets(T, self.buckets, self.max_distance)
        bias_NTT = jnp.moveaxis(self.relative_attention_bias(jnp.asarray(buckets)), -1, 0)
        inputs = (q * (C // self.heads) ** -0.5, k, v, freqs, bias_NTT)
        out = jax.lax.platform_dependent(
            *inputs, tpu=jax.checkpoint(_attend_side_by_side), default=_attend_over_time
        )
        return self.to_out(out.reshape(B, T, H, W, C))


COLUMNS = 512
"""Hidden channels of a feed-forward layer that are computed at once: a TPU holds them in VMEM."""

IN_BLOCKS_FROM = 4096
"""Places of a row from which they would not all fit there."""


class FeedForward(nnx.Module):
    """GEGLU: half of a projection times the GELU of its other half, then linear."""

    def __init__(
        self, channels: int, *, dtype: DTypeLike, param_dtype: DTypeLike, rngs: nnx.Rngs | None
    ):
        settings: dict[str, Any] = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.proj = Linear(channels, 8 * channels, **settings)
        self.out = Linear(4 * channels, channels, **settings)

    def __call__(
        self, x: Float[Array, "*batch C"], *, fold: Fold | None = None
    ) -> Float[Array, "*batch C"]:
        hidden, places = self.out.kernel.shape[0], math.prod(x.shape[1:-1])
        blocks = hidden // COLUMNS if hidden % COLUMNS == 0 and places > IN_BLOCKS_FROM else 1
        parts = self.proj.columns(x, 2 * blocks, fold)
        pairs = zip(parts[:blocks], parts[blocks:], strict=True)
        return self.out(*(value * gelu(gate) for value, gate in pairs))
