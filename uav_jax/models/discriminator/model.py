"""A patch discriminator over space and time: is this piece of video real?

PatchGAN (Isola et al., CVPR 2017) with a convolution over time behind each one over space, so that
a score sees a few frames and flicker is as visible to it as blur. It exists for training only.
"""

from itertools import pairwise

import jax
from flax import nnx
from jaxtyping import Array, Float

from uav_jax.layers.conv import Conv2d, TemporalConv
from uav_jax.layers.linear import layer_settings
from uav_jax.layers.norm import GroupNorm
from uav_jax.models.discriminator.config import DiscriminatorConfig
from uav_jax.shapes import Video

SLOPE = 0.2
"""Of the leaky ReLU below zero."""


class Level(nnx.Module):
    """A 4x4 convolution of stride 2, one of three frames, norm (not in the first level)."""

    def __init__(self, in_channels: int, channels: int, config: DiscriminatorConfig, rngs):
        settings = layer_settings(config, rngs)
        pads = ((1, 1), (1, 1))
        self.space = Conv2d(in_channels, channels, 4, stride=2, padding=pads, **settings)
        self.time = TemporalConv(channels, channels, **settings)
        self.norm = (
            GroupNorm(channels, config.norm_num_groups, epsilon=1e-5, **settings)
            if in_channels > 3
            else None
        )

    def __call__(self, x: Video) -> Video:
        x = jax.nn.leaky_relu(self.space(x), SLOPE)
        x = self.time(x)
        if self.norm is not None:
            x = self.norm(x)
        return jax.nn.leaky_relu(x, SLOPE)


class PatchDiscriminator(nnx.Module):
    """Scores of patches, positive for real; RGB in [-1, 1]."""

    def __init__(self, config: DiscriminatorConfig, *, rngs: nnx.Rngs | None):
        widths = (3, *config.channels)
        self.levels = nnx.List([Level(a, b, config, rngs) for a, b in pairwise(widths)])
        self.score = Conv2d(widths[-1], 1, 3, **layer_settings(config, rngs))

    def __call__(self, video: Float[Array, "B T H W 3"]) -> Float[Array, "B T h w 1"]:
        """One score for every 8 x 8 pixels (three levels) of every frame."""
        x = video
        for level in self.levels:
            x = level(x)
        return self.score(x).astype("float32")
