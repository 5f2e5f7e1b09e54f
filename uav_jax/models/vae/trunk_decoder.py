"""The video decoder around a pretrained image network.

The image network (realesr-animevideov3's shape) turns low-resolution frames c in [0, 1] into frames
four times as large:

    f_0 = PReLU(conv(c)),    f_i = PReLU(conv(f_{i-1})),                                      (1)
    y = pixel_shuffle(conv(f_n)) + nearest(c)                                                 (2)

Behind some of its layers, the parts of Upscale-A-Video's decoder are added: a spatial feature
transform (SFT) from the U-Net's latents z and a 3-D convolution,

    f <- f + w (f scale(z) + shift(z)),    f <- f + conv3d(f),                                (3)

all of whose last layers start at zero. Untrained, the decoder is the pretrained network.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from uav_jax.layers.conv import Conv2d, Conv3d
from uav_jax.layers.linear import layer_settings
from uav_jax.layers.resample import nearest, pixel_shuffle
from uav_jax.models.vae.config import VAEConfig
from uav_jax.shapes import UPSCALE, Video

INITIAL_SLOPE = 0.25


class ConvPReLU(nnx.Module):
    """A 3x3 convolution and a leaky ReLU with a learned slope per channel."""

    def __init__(self, in_channels: int, out_channels: int, **settings):
        self.conv = Conv2d(in_channels, out_channels, **settings)
        self.slope = nnx.Param(jnp.full((out_channels,), INITIAL_SLOPE, settings["param_dtype"]))

    def __call__(self, x: Video) -> Video:
        x = self.conv(x)
        return jnp.where(x >= 0, x, self.slope[...].astype(x.dtype) * x)


class LatentTransform(nnx.Module):
    """The SFT of equation (3)."""

    def __init__(self, condition_channels: int, channels: int, **settings):
        self.scale = Conv2d(condition_channels, channels, 1, zero_init=True, **settings)
        self.shift = Conv2d(condition_channels, channels, 1, zero_init=True, **settings)

    def __call__(self, x: Video, condition: Video, weight: Array | float) -> Video:
        change = x * self.scale(condition) + self.shift(condition)
        return x + jnp.asarray(weight, x.dtype) * change


class TrunkDecoder(nnx.Module):
    """Latents (after ``post_quant_conv``) and low-resolution frames to frames, 4 times as large."""

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs | None):
        settings, trunk = layer_settings(config, rngs), config.trunk
        assert trunk is not None
        width, condition = trunk.width, config.condition_channels
        self.trunk = trunk
        self.head = ConvPReLU(3, width, **settings)
        self.body = nnx.List([ConvPReLU(width, width, **settings) for _ in range(trunk.depth)])
        self.conv_out = Conv2d(width, 3 * UPSCALE**2, **settings)
        self.condition_in = nnx.List(
            [
                Conv2d(config.latent_channels, condition, **settings),
                Conv2d(condition, condition, **settings),
            ]
        )
        self.condition_fuse = nnx.List(
            [LatentTransform(condition, width, **settings) for _ in trunk.condition_at]
        )
        self.temporal = nnx.List(
            [Conv3d(width, width, zero_init=True, **settings) for _ in trunk.temporal_at]
        )

    def features(
        self,
        latents: Video,
        low_res: Float[Array, "B T h w 3"] | None,
        weight: Array | float,
    ) -> Float[Array, "B T h w C"]:
        """What the last convolution reads."""
        assert low_res is not None, "the video decoder needs the low-resolution frames"
        condition = latents
        for conv in self.condition_in:
            condition = jax.nn.silu(conv(condition))
        transforms = dict(zip(self.trunk.condition_at, self.condition_fuse, strict=True))
        temporal = dict(zip(self.trunk.temporal_at, self.temporal, strict=True))
        x = self.head((low_res + 1) / 2)
        for index, layer in enumerate([None, *self.body]):
            x = x if layer is None else layer(x)
            if index in transforms:
                x = transforms[index](x, condition, weight)
            if index in temporal:
                x = x + temporal[index](x)
        return x

    def frames(
        self, features: Float[Array, "B T h w C"], low_res: Float[Array, "B T h w 3"] | None
    ) -> Float[Array, "B T H W 3"]:
        """Equation (2), in [-1, 1] and float32."""
        assert low_res is not None
        added = pixel_shuffle(self.conv_out(features), UPSCALE).astype(jnp.float32)
        return 2 * added + nearest(low_res, *added.shape[2:4])

    def __call__(
        self,
        latents: Video,
        low_res: Float[Array, "B T h w 3"] | None,
        weight: Array | float,
    ) -> Float[Array, "B T H W 3"]:
        return self.frames(self.features(latents, low_res, weight), low_res)
