"""Normalisation layers. Statistics are always float32."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from uav_jax.shapes import Video


def group_statistics(
    x: Float[Array, "B P C"], groups: int
) -> tuple[Float[Array, "B 1 C"], Float[Array, "B 1 C"]]:
    """Mean and biased variance of each group of channels over P positions, one value a channel."""
    B, P, C = x.shape

    def over_group(total_BC: Array) -> Array:
        mean_BG = total_BC.reshape(B, groups, C // groups).mean(-1) / P
        return jnp.repeat(mean_BG, C // groups, axis=-1)[:, None]

    mean = over_group(x.sum(1))
    variance = over_group(jnp.square(x - mean).sum(1))
    return mean, variance


class GroupNorm(nnx.Module):
    """Group normalisation with statistics over T, H and W together (or per frame if asked).

    The published model normalises 5-D tensors, so one group sees every frame of the clip; only the
    norms in front of attention over space are per frame.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        *,
        epsilon: float,
        per_frame: bool = False,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        del rngs
        self.scale = nnx.Param(jnp.ones((channels,), param_dtype))
        self.bias = nnx.Param(jnp.zeros((channels,), param_dtype))
        self.groups = groups
        self.epsilon = epsilon
        self.per_frame = per_frame
        self.dtype = dtype

    def __call__(self, x: Video, *, activation: bool = False) -> Video:
        """Normalises ``x``; ``activation`` applies SiLU to the result in the same pass."""
        batch = x.shape[0] * (x.shape[1] if self.per_frame else 1)
        x_BPC = x.reshape(batch, -1, x.shape[-1]).astype(jnp.float32)
        mean, variance = group_statistics(x_BPC, self.groups)
        scale = self.scale[...].astype(jnp.float32) * jax.lax.rsqrt(variance + self.epsilon)
        y = (x_BPC - mean) * scale + self.bias[...].astype(jnp.float32)
        if activation:
            y = jax.nn.silu(y)
        return y.reshape(x.shape).astype(self.dtype)


class LayerNorm(nnx.Module):
    """LayerNorm over channels, epsilon 1e-5."""

    def __init__(
        self,
        channels: int,
        *,
        epsilon: float = 1e-5,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None = None,
    ):
        del rngs
        self.scale = nnx.Param(jnp.ones((channels,), param_dtype))
        self.bias = nnx.Param(jnp.zeros((channels,), param_dtype))
        self.epsilon = epsilon
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*batch C"]) -> Float[Array, "*batch C"]:
        x = x.astype(jnp.float32)
        centred = x - x.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        y = centred * jax.lax.rsqrt(variance + self.epsilon) * self.scale[...] + self.bias[...]
        return y.astype(self.dtype)
