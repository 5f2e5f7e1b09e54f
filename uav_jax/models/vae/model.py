"""The autoencoder between frames and latents at a quarter of their size.

Encoder and decoder work frame by frame except for what this file marks: GroupNorm statistics run
over the whole clip, and the video decoder adds 3-D convolutions and, right after its first
convolution, the low-resolution frames by spatial feature transform:

    f + w * (f * scale(c, f) + shift(c, f))                                                  (1)

With ``residual_blocks`` (``configs/small``) the video decoder is a residual super-resolution
network (EDSR; Lim et al., CVPRW 2017): its blocks work at the latents' size and without norms, two
sub-pixel convolutions enlarge what they found, and the result is added to the bicubically enlarged
frames. With ``trunk`` it is another network, see ``trunk_decoder``.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from uav_jax.layers.attention import attention
from uav_jax.layers.conv import Conv2d
from uav_jax.layers.linear import Linear, layer_settings
from uav_jax.layers.norm import GroupNorm, group_norm_or_none
from uav_jax.layers.remat import Remat, remat
from uav_jax.layers.resample import (
    Downsample,
    SubPixelUpsample,
    Upsample,
    bicubic_matrix,
    resize,
)
from uav_jax.layers.residual import ResidualBlock
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.trunk_decoder import TrunkDecoder
from uav_jax.shapes import Video

EPSILON = 1e-6


def _block(config: VAEConfig, rngs: nnx.Rngs | None, *, decoder: bool = False) -> dict:
    """Settings of residual blocks; those of a residual decoder have no norms."""
    groups = 0 if decoder and config.residual else config.norm_num_groups
    return dict(groups=groups, epsilon=EPSILON, **layer_settings(config, rngs))


class SpatialAttention(nnx.Module):
    """Single-head self-attention over the H*W positions of each frame, plus the input."""

    def __init__(self, config: VAEConfig, channels: int, *, rngs: nnx.Rngs | None):
        settings = layer_settings(config, rngs)
        self.group_norm = GroupNorm(
            channels, config.norm_num_groups, epsilon=EPSILON, per_frame=True, **settings
        )
        self.query = Linear(channels, channels, **settings)
        self.key = Linear(channels, channels, **settings)
        self.value = Linear(channels, channels, **settings)
        self.proj_attn = Linear(channels, channels, **settings)

    def __call__(self, x: Video) -> Video:
        B, T, H, W, C = x.shape
        h_BPNC = self.group_norm(x).reshape(B * T, H * W, 1, C)
        q, k, v = self.query(h_BPNC) * C**-0.5, self.key(h_BPNC), self.value(h_BPNC)
        return x + self.proj_attn(attention(q, k, v)).reshape(x.shape)


class MidBlock(nnx.Module):
    """Residual block, attention, residual block."""

    def __init__(self, config: VAEConfig, channels: int, **block):
        self.resnets = nnx.List([ResidualBlock(channels, channels, **block) for _ in range(2)])
        if config.mid_attention:
            self.attentions = nnx.List([SpatialAttention(config, channels, rngs=block["rngs"])])
        self.has_attention = config.mid_attention

    def __call__(self, x: Video) -> Video:
        x = self.resnets[0](x)
        if self.has_attention:
            x = self.attentions[0](x)
        return self.resnets[1](x)


class Level(nnx.Module):
    """The residual blocks of one resolution and the resampling behind them."""

    def __init__(
        self,
        resnets: list[ResidualBlock],
        resample: Downsample | Upsample | SubPixelUpsample | None,
    ):
        self.resnets = nnx.List(resnets)
        if resample is not None:
            self.resample = resample
        self.has_resample = resample is not None

    def __call__(self, x: Video) -> Video:
        for resnet in self.resnets:
            x = resnet(x)
        return self.resample(x) if self.has_resample else x


def _levels(widths, width_in, layers, resample, **block) -> list[Level]:
    levels = []
    for i, width in enumerate(widths):
        resnets = [ResidualBlock(width_in, width, **block)]
        resnets += [ResidualBlock(width, width, **block) for _ in range(layers - 1)]
        levels.append(Level(resnets, resample(width) if i < len(widths) - 1 else None))
        width_in = width
    return levels


def _decoder_levels(config: VAEConfig, widths: Sequence[int], settings: dict, block: dict):
    """Of the decoder: blocks at every size, or with ``residual_blocks`` at the latents' alone."""
    if not config.residual:
        layers = config.layers_per_block + 1
        upsample = partial(Upsample, **settings)
        return _levels(widths, widths[0], layers, upsample, **block)
    width = widths[0]
    blocks = [ResidualBlock(width, width, **block) for _ in range(config.residual_blocks)]
    return [
        Level(blocks if i == 0 else [], SubPixelUpsample(*pair, **settings))
        for i, pair in enumerate(pairwise(widths))
    ]


class Encoder(nnx.Module):
    """Frames to the mean and log-variance of their latents (before ``quant_conv``)."""

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs | None):
        settings, widths = layer_settings(config, rngs), config.block_out_channels
        block = _block(config, rngs)
        self.conv_in = Conv2d(3, widths[0], **settings)
        self.down_blocks = nnx.List(
            _levels(
                widths,
                widths[0],
                config.layers_per_block,
                lambda width: Downsample(width, asymmetric=True, **settings),
                **block,
            )
        )
        self.mid_block = MidBlock(config, widths[-1], **block)
        self.conv_norm_out = GroupNorm(
            widths[-1], config.norm_num_groups, epsilon=EPSILON, **settings
        )
        self.conv_out = Conv2d(widths[-1], 2 * config.latent_channels, **settings)

    def __call__(self, x: Float[Array, "B T H W 3"]) -> Float[Array, "B T h w M"]:
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(self.conv_norm_out(self.mid_block(x), activation=True))


class ConditionFuse(nnx.Module):
    """Scale and shift of equation (1) from the low-resolution branch and the features."""

    def __init__(self, config: VAEConfig, channels: int, *, rngs: nnx.Rngs | None):
        block, settings = _block(config, rngs, decoder=True), layer_settings(config, rngs)
        self.shared = nnx.List(
            [
                ResidualBlock(config.condition_channels + channels, channels, **block),
                ResidualBlock(channels, channels, **block),
            ]
        )
        self.scale = Conv2d(channels, channels, **settings)
        self.shift = Conv2d(channels, channels, **settings)

    def __call__(self, features: Video, condition: Video, weight: Array | float) -> Video:
        x = jnp.concatenate([condition, features], axis=-1)
        for block in self.shared:
            x = block(x)
        return features + weight * (features * self.scale(x) + self.shift(x))


class Decoder(nnx.Module):
    """Latents (after ``post_quant_conv``) to frames, 4 times as large."""

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs | None):
        settings, widths = layer_settings(config, rngs), config.block_out_channels[::-1]
        block: dict[str, Any] = dict(add_3d=config.temporal, **_block(config, rngs, decoder=True))
        self.conv_in = Conv2d(config.latent_channels, widths[0], **settings)
        if config.temporal:
            condition = config.condition_channels
            self.condition_in = nnx.List(
                [
                    ResidualBlock(3, condition, in_groups=3, **block),
                    ResidualBlock(condition, condition, **block),
                ]
            )
            self.condition_fuse = ConditionFuse(config, widths[0], rngs=rngs)
        self.temporal, self.residual = config.temporal, config.residual
        self.remat: Remat = config.remat
        self.mid_block = MidBlock(config, widths[0], **block)
        self.up_blocks = nnx.List(_decoder_levels(config, widths, settings, block))
        self.conv_norm_out = group_norm_or_none(
            widths[-1], block["groups"], epsilon=EPSILON, **settings
        )
        self.conv_out = Conv2d(widths[-1], 3, zero_init=config.residual, **settings)

    def features(
        self,
        latents: Video,
        low_res: Float[Array, "B T h w 3"] | None,
        weight: Array | float,
    ) -> Float[Array, "B T H W C"]:
        """What the last convolution reads."""
        x = self.conv_in(latents)
        if self.temporal:
            assert low_res is not None, "the video decoder needs the low-resolution frames"
            condition = low_res
            for block in self.condition_in:
                condition = block(condition)
            x = self.condition_fuse(x, condition, weight)
        x = self.mid_block(x)
        run = remat(self.remat)
        for level in self.up_blocks:
            for resnet in level.resnets:
                x = run(lambda resnet, x: resnet(x), resnet, x)
            x = level.resample(x) if level.has_resample else x
        return self.conv_norm_out(x, activation=True)

    def __call__(
        self,
        latents: Video,
        low_res: Float[Array, "B T h w 3"] | None,
        weight: Array | float,
    ) -> Float[Array, "B T H W 3"]:
        return self.frames(self.features(latents, low_res, weight), low_res)

    def frames(
        self, features: Float[Array, "B T H W C"], low_res: Float[Array, "B T h w 3"] | None
    ) -> Float[Array, "B T H W 3"]:
        """The last convolution; with ``residual_blocks`` added to the enlarged frames."""
        out = self.conv_out(features)
        if not self.residual:
            return out
        assert low_res is not None
        H, W = out.shape[2:4]
        return out.astype(jnp.float32) + resize(low_res, H, W, bicubic_matrix)


class VideoAutoencoder(nnx.Module):
    """``vae_3d`` or ``vae_video``, by its config. Latents here are unscaled.

    One with a trunk has no encoder: its latents are whatever the U-Net tells the decoder.
    """

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs | None):
        settings, latent = layer_settings(config, rngs), config.latent_channels
        self.config = config
        if not config.trunk:
            self.encoder = Encoder(config, rngs=rngs)
            self.quant_conv = Conv2d(2 * latent, 2 * latent, 1, **settings)
        self.post_quant_conv = Conv2d(latent, latent, 1, **settings)
        self.decoder = (TrunkDecoder if config.trunk else Decoder)(config, rngs=rngs)

    def moments(
        self, video: Float[Array, "B T H W 3"]
    ) -> tuple[Float[Array, "B T h w 4"], Float[Array, "B T h w 4"]]:
        """Mean and log-variance (not clipped) of the unscaled latents; H and W multiples of 4."""
        moments = self.quant_conv(self.encoder(video)).astype(jnp.float32)
        mean, log_variance = jnp.split(moments, 2, axis=-1)
        return mean, log_variance

    def decode(
        self,
        latents: Float[Array, "B T h w 4"],
        low_res: Float[Array, "B T h w 3"] | None = None,
        low_res_weight: Array | float = 1.0,
    ) -> Float[Array, "B T H W 3"]:
        """Frames from unscaled latents, float32, not clamped.

        ``low_res`` are the clean low-resolution frames in [-1, 1]; the plain decoder ignores them.
        ``low_res_weight`` is w of equation (1).
        """
        return self.decoder(self.post_quant_conv(latents), low_res, low_res_weight).astype(
            jnp.float32
        )
