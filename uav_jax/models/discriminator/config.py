"""Configuration of the space-time patch discriminator."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import DTypeLike


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorConfig:
    """One halving of height and width per entry of ``channels``."""

    channels: tuple[int, ...] = (64, 128, 256)
    norm_num_groups: int = 32
    dtype: DTypeLike = jnp.float32  # compute
    param_dtype: DTypeLike = jnp.float32  # storage

    def __post_init__(self):
        for channels in self.channels:
            if channels % self.norm_num_groups:
                raise ValueError(
                    f"{channels} channels are no multiple of {self.norm_num_groups} groups"
                )
