"""Residual blocks: GroupNorm, SiLU, convolution, twice, plus the input."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from uav_jax.layers.conv import Conv2d, Conv3d, TemporalConv
from uav_jax.layers.linear import Linear, add_bias
from uav_jax.layers.norm import group_norm_or_none
from uav_jax.shapes import Video

Skip = Video | tuple[Video, Video]
"""A skip connection's channels, or a pair of them and what ``skipped`` made of them."""


class ResidualBlock(nnx.Module):
    """The one residual block of the system, in space, in time, or in space with a 3-D addition.

    ``temporal_kernels`` makes both convolutions ``(k, 1, 1)``; otherwise they are 3x3 per frame.
    ``time_channels`` adds a projected time embedding between them. ``add_3d`` adds
    ``conv3d(SiLU(GroupNorm(y)))`` to the finished sum ``y`` (the video decoder's temporal layer,
    zero at the start). ``among_tokens`` says that the input lies as a transformer's tokens do, on
    devices where that makes a difference. ``zero_init`` starts the last convolution at zero. With 0
    ``groups`` nothing is normalised, and that convolution starts at zero too.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        groups: int,
        epsilon: float,
        in_groups: int | None = None,
        time_channels: int | None = None,
        temporal_kernels: tuple[int, int] | None = None,
        add_3d: bool = False,
        among_tokens: bool = False,
        zero_init: bool = False,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        zero_init = zero_init or not groups  # nothing else keeps a deep stack's values small
        settings: dict[str, Any] = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        norm = partial(group_norm_or_none, epsilon=epsilon, **settings)
        self.norm1 = norm(in_channels, groups and (in_groups or groups))
        self.norm2 = norm(out_channels, groups)
        if temporal_kernels:
            first, second = temporal_kernels
            self.conv1 = TemporalConv(in_channels, out_channels, first, **settings)
            self.conv2 = TemporalConv(
                out_channels, out_channels, second, zero_init=zero_init, **settings
            )
        else:
            self.conv1 = Conv2d(in_channels, out_channels, **settings)
            self.conv2 = Conv2d(out_channels, out_channels, zero_init=zero_init, **settings)
        if time_channels:
            self.time_emb_proj = Linear(time_channels, out_channels, **settings)
        if in_channels != out_channels:
            self.conv_shortcut = Conv2d(in_channels, out_channels, 1, **settings)
        if add_3d:
            self.norm_3d = norm(out_channels, groups)
            self.conv_3d = Conv3d(out_channels, out_channels, zero_init=True, **settings)
        self.has_time, self.add_3d = time_channels is not None, add_3d
        self.among_tokens = among_tokens
        self.has_shortcut = in_channels != out_channels

    def skipped(self, skip: Skip) -> Skip:
        """``skip`` with what it gives to the first convolution, whatever stands before it.

        As it is where a group of the first norm has channels of both.
        """
        width = self.conv1.kernel.shape[-2]
        if isinstance(skip, tuple) or self.norm1.groups * (width - skip.shape[-1]) % width:
            return skip
        made = self._first(skip, slice(width - skip.shape[-1], width))
        return skip, add_bias(made, self.conv1.bias[...].astype(made.dtype))

    def _first(self, x: Video, channels: slice) -> Video:
        assert isinstance(self.conv1, Conv2d)
        y = self.norm1(x, activation=True, channels=channels)
        return self.conv1.of_channels(y, channels)

    def __call__(
        self, x: Video, time: Float[Array, "B D"] | None = None, skip: Skip | None = None
    ) -> Video:
        """``skip`` are more input channels, behind those of ``x``."""
        skip, made = skip if isinstance(skip, tuple) else (skip, None)
        parts = (x,) if skip is None else (x, skip)
        if made is None:
            h = self.conv1(self.norm1(*parts, activation=True, among_tokens=self.among_tokens))
        else:
            h = self._first(x, slice(x.shape[-1])) + made
        together = jnp.concatenate(parts, -1)
        if self.has_time:
            assert time is not None
            h = h + self.time_emb_proj(jax.nn.silu(time))[:, None, None, None]
        h = self.conv2(self.norm2(h, activation=True))
        if self.has_shortcut:
            together = self.conv_shortcut(*(parts if self.among_tokens else (together,)))
        y = together + h
        if self.add_3d:
            y = y + self.conv_3d(self.norm_3d(y, activation=True))
        return y
