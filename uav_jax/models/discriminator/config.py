"""Configuration of the space-time patch discriminator."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import DTypeLike

from uav_jax.models.bounds import MAX_CHANNELS, MAX_LEVELS, check_int, check_ints


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorConfig:
    """One halving of height and width per entry of ``channels``."""

    channels: tuple[int, ...] = (64, 128, 256)
    norm_num_groups: int = 32
    dtype: DTypeLike = jnp.float32  # compute
    param_dtype: DTypeLike = jnp.float32  # storage

    def __post_init__(self):
        lengths = range(1, MAX_LEVELS + 1)
        check_ints("discriminator channels", self.channels, lengths, 1, MAX_CHANNELS)
        check_int("discriminator norm_num_groups", self.norm_num_groups, 1, 1024)
        for channels in self.channels:
            if channels % self.norm_num_groups:
                raise ValueError(
                    f"{channels} channels are no multiple of {self.norm_num_groups} groups"
                )
