"""Configuration of the RRDB network."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import DTypeLike


@dataclass(frozen=True, kw_only=True, slots=True)
class RRDBConfig:
    """Real-ESRGAN x4plus; its variant for drawings has 6 blocks."""

    width: int = 64  # channels between blocks
    growth: int = 32  # channels that each layer of a dense block adds
    blocks: int = 23
    dtype: DTypeLike = jnp.float32  # compute
    param_dtype: DTypeLike = jnp.float32  # storage
