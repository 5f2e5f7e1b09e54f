"""The video U-Net: predicts v from noisy latents and noised low-resolution frames.

Frozen image layers (residual blocks, attention to space and text, resampling) alternate with the
added temporal ones. After every down level, the middle and every up level stands a temporal module

    x + conv1x1(spatial_block(temporal_block(x)))                                            (1)

whose 1x1 convolution starts at zero, so that the untrained video model equals the image model.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from uav_jax.layers.conv import Conv2d, laid_out_for_images
from uav_jax.layers.embedding import RotaryFrequencies, TimestepEmbedding
from uav_jax.layers.linear import Embed, layer_settings
from uav_jax.layers.norm import GroupNorm
from uav_jax.layers.remat import remat
from uav_jax.layers.resample import Downsample, Upsample
from uav_jax.layers.residual import ResidualBlock, Skip
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.transformer import ADDED_EPSILON, Transformer
from uav_jax.shapes import PerSample, Text, Video

IMAGE_EPSILON = 1e-5


class TemporalModule(nnx.Module):
    """Equation (1): a (5,1,1)/(3,1,1) temporal block, a spatial block, and a zero 1x1 conv."""

    def __init__(
        self, config: UNetConfig, channels: int, time_channels: int, *, rngs: nnx.Rngs | None
    ):
        settings = layer_settings(config, rngs)
        block: dict[str, Any] = dict(
            groups=config.norm_num_groups,
            epsilon=ADDED_EPSILON,
            time_channels=time_channels,
            **settings,
        )
        self.temporal = ResidualBlock(channels, channels, temporal_kernels=(5, 3), **block)
        self.spatial = ResidualBlock(channels, channels, **block)
        self.shift_conv = Conv2d(channels, channels, 1, zero_init=True, **settings)

    def __call__(self, x: Video, time: Float[Array, "B D"]) -> Video:
        return x + self.shift_conv(self.spatial(self.temporal(x, time), time))


class Level(nnx.Module):
    """The residual blocks of one resolution, each with a transformer where the level has any."""

    def __init__(
        self,
        config: UNetConfig,
        in_channels: list[int],
        channels: int,
        time_channels: int,
        *,
        only_cross: bool | None,
        resample: type[Downsample] | type[Upsample] | None,
        rngs: nnx.Rngs | None,
    ):
        settings = layer_settings(config, rngs)
        self.resnets = nnx.List(
            [
                ResidualBlock(
                    width,
                    channels,
                    groups=config.norm_num_groups,
                    epsilon=IMAGE_EPSILON,
                    time_channels=time_channels,
                    among_tokens=only_cross is not None,
                    **settings,
                )
                for width in in_channels
            ]
        )
        if only_cross is not None:
            self.attentions = nnx.List(
                [Transformer(config, channels, only_cross, rngs=rngs) for _ in in_channels]
            )
        self.has_attention = only_cross is not None
        if resample:
            self.resample = resample(channels, **settings)
        self.has_resample = resample is not None

    def enlarge(self, x: Video, skip: Video) -> Video:
        """Up-samples to the size of the skip connection that follows."""
        assert isinstance(self.resample, Upsample)
        return self.resample(x, (skip.shape[2], skip.shape[3]))

    def block(
        self,
        i: int,
        x: Video,
        time: Array,
        text: Text | None,
        freqs: Array,
        skip: Skip | None = None,
    ) -> Video:
        """Residual block ``i`` and the transformer behind it, if there is one."""
        if not self.has_attention:
            x, skip = jax.tree.map(laid_out_for_images, (x, skip))
            return laid_out_for_images(self.resnets[i](x, time, skip))
        x = self.resnets[i](x, time, skip)
        assert text is not None
        return self.attentions[i](x, text, freqs)


class MidBlock(nnx.Module):
    """Residual block, transformer with self-attention over space, residual block."""

    def __init__(
        self, config: UNetConfig, channels: int, time_channels: int, *, rngs: nnx.Rngs | None
    ):
        block: dict[str, Any] = dict(
            groups=config.norm_num_groups,
            epsilon=IMAGE_EPSILON,
            time_channels=time_channels,
            among_tokens=True,
            **layer_settings(config, rngs),
        )
        self.resnets = nnx.List([ResidualBlock(channels, channels, **block) for _ in range(2)])
        self.attentions = nnx.List([Transformer(config, channels, only_cross=False, rngs=rngs)])

    def __call__(self, x: Video, time: Array, text: Text, freqs: Array) -> Video:
        x = self.resnets[0](x, time)
        x = self.attentions[0](x, text, freqs)
        return self.resnets[1](x, time)


class VideoUNet(nnx.Module):
    """Predicts v for a clip; every height and width works."""

    def __init__(self, config: UNetConfig, *, rngs: nnx.Rngs | None):
        settings = layer_settings(config, rngs)
        widths = config.block_out_channels
        time_channels = 4 * widths[0]
        self.config = config
        self.conv_in = Conv2d(config.in_channels, widths[0], **settings)
        self.time_embedding = TimestepEmbedding(widths[0], time_channels, **settings)
        self.noise_level_embedding = Embed(config.num_noise_levels, time_channels, **settings)
        self.rotary = RotaryFrequencies(config.rotary_dims)
        self.down_blocks = nnx.List(_down_levels(config, time_channels, rngs))
        self.down_temporal = nnx.List(
            [TemporalModule(config, width, time_channels, rngs=rngs) for width in widths]
        )
        self.mid_block = MidBlock(config, widths[-1], time_channels, rngs=rngs)
        self.mid_temporal = TemporalModule(config, widths[-1], time_channels, rngs=rngs)
        self.up_blocks = nnx.List(_up_levels(config, time_channels, rngs))
        self.up_temporal = nnx.List(
            [TemporalModule(config, width, time_channels, rngs=rngs) for width in widths[::-1]]
        )
        self.conv_norm_out = GroupNorm(
            widths[0], config.norm_num_groups, epsilon=IMAGE_EPSILON, **settings
        )
        self.conv_out = Conv2d(widths[0], config.out_channels, **settings)

    def __call__(
        self,
        latents: Float[Array, "B T H W 4"],
        low_res: Float[Array, "B T H W 3"],
        timesteps: PerSample,
        noise_level: PerSample,
        text: Text,
    ) -> Float[Array, "B T H W 4"]:
        """v prediction, float32.

        ``low_res`` are the frames noised to ``noise_level`` (0 to the model's maximum, which the
        pipeline checks); ``timesteps`` are 0..999; ``text`` is the encoded prompt.
        """
        return self.finish(self.start(latents, low_res, timesteps, noise_level), text)

    def start(
        self,
        latents: Float[Array, "B T H W 4"],
        low_res: Float[Array, "B T H W 3"],
        timesteps: PerSample,
        noise_level: PerSample,
    ) -> "Started":
        """What is the same for every prompt: all that comes before the first attention to text."""
        time = self.time_embedding(timesteps) + self.noise_level_embedding(noise_level)
        x = self.conv_in(jnp.concatenate([latents, low_res], axis=-1))
        started = self._down(Started((x,), (x,), time, 0), None)
        if started.levels == len(self.down_blocks):
            return started

        def enter(level, x):
            return level.attentions[0].start(level.resnets[0](x, time))

        level = self.down_blocks[started.levels]
        return started._replace(x=remat(self.config.remat)(enter, level, *started.x))

    def finish(self, started: "Started", text: Text) -> Float[Array, "B T H W 4"]:
        """The rest, for one prompt: v, float32."""
        return self.top(started, *self.deep(started, text))

    def deep(self, started: "Started", *texts: Text) -> tuple[Video, ...]:
        """All levels below the first, for each prompt: what the last up level starts from.

        Below the first level with attention the prompts are one batch: little work by itself.
        """
        freqs = self.rotary.freqs[...]
        run = remat(self.config.remat)
        first, last = started.levels, len(self.up_blocks) - 1
        alone = [self._down(started, text, first + 1) for text in texts]
        text = _together(*texts)
        *arrays, (levels, *_) = zip(*alone, strict=True)
        x, skips, time = (jax.tree.map(_together, *values) for values in arrays)
        (x,), skips, time, _ = self._down(Started(x, skips, time, levels), text)
        x = run(lambda block, x: block(x, time, text, freqs), self.mid_block, x)
        x = run(lambda module, x: module(x, time), self.mid_temporal, x)
        for i in range(last - first):
            x, skips = self._up(i, x, skips, time, text)

        deep: list[Video] = []
        for rows, own, text in zip(_apart(x, len(texts)), alone, texts, strict=True):
            if deep:  # one prompt after the other
                rows, deep[-1] = jax.lax.optimization_barrier((rows, deep[-1]))
            left = own.skips[: len(skips)]
            for i in range(max(last - first, 0), last):
                rows, left = self._up(i, rows, left, started.time, text)
            deep.append(rows)
        return tuple(deep)

    def skipped(self, started: "Started") -> "Started":
        """``started`` for the last up level of several prompts: what their skip connections share.

        Half of the input of most of its blocks is the same for every prompt.
        """
        resnets = self.up_blocks[-1].resnets
        first, rest = started.skips[: len(resnets)], started.skips[len(resnets) :]
        pairs = zip(resnets, first[::-1], strict=True)
        shared = [block.skipped(skip) for block, skip in pairs]
        return started._replace(skips=(*shared[::-1], *rest))

    def top(self, started: "Started", deep: Video) -> Float[Array, "B T H W 4"]:
        """The last up level, on top of ``deep``: of this evaluation, or of one nearby in time."""
        last = len(self.up_blocks) - 1
        skips = started.skips[: len(self.up_blocks[last].resnets)]
        x, skips = self._up(last, deep, skips, started.time, None)
        assert not skips
        return self.conv_out(self.conv_norm_out(x, activation=True)).astype(jnp.float32)

    def _up(self, number: int, x: Video, skips: tuple, time: Array, text: Text | None):
        """Up level ``number``; also the skip connections that are left."""
        run, freqs = remat(self.config.remat), self.rotary.freqs[...]
        level, module = self.up_blocks[number], self.up_temporal[number]
        for i in range(len(level.resnets)):

            def block(level, x, skip, i=i):
                return level.block(i, x, time, text, freqs, skip)

            x, skips = run(block, level, x, skips[-1]), skips[:-1]
        if level.has_resample:
            x = level.enlarge(x, skips[-1])
        return run(lambda module, x: module(x, time), module, x), skips

    def _down(self, started: "Started", text: Text | None, stop: int | None = None) -> "Started":
        """Down levels from where ``started`` stands: to ``stop`` or as far as no text is needed."""
        run, freqs = remat(self.config.remat), self.rotary.freqs[...]
        (x, *tokens), skips, time, done = started

        def rest(level: Level, x: Video, tokens: Video) -> Video:
            assert text is not None
            return level.attentions[0].finish(x, tokens, text, freqs)

        pairs = list(zip(self.down_blocks, self.down_temporal, strict=True))
        for level, module in pairs[done:stop]:
            if level.has_attention and text is None:
                break
            for i in range(len(level.resnets)):
                if tokens:  # of the first transformer, which has started
                    x, tokens = run(rest, level, x, *tokens), ()
                else:
                    x = run(lambda level, x, i=i: level.block(i, x, time, text, freqs), level, x)
                skips = (*skips, x)
            if level.has_resample:
                x = level.resample(x)
                skips = (*skips, x)
            x = run(lambda module, x: module(x, time), module, x)
            done += 1
        return Started((x,), skips, time, done)


class Started(NamedTuple):
    """A U-Net's evaluation part of the way down."""

    x: tuple[Video, ...]  # where a transformer has started, its tokens too
    skips: tuple[Skip, ...]
    time: Float[Array, "B D"]
    levels: int  # done


def _together(*prompts: Array) -> Array:
    """The same rows for several prompts as one batch, a row's prompts side by side.

    Rows that are divided over devices stay where they are.
    """
    return jnp.stack(prompts, 1).reshape(-1, *prompts[0].shape[1:])


def _apart(x: Array, prompts: int) -> list[Array]:
    """What ``_together`` has put together."""
    rows = x.reshape(-1, prompts, *x.shape[1:])
    return [rows[:, i] for i in range(prompts)]


def _down_levels(config: UNetConfig, time_channels: int, rngs: nnx.Rngs | None) -> list[Level]:
    levels, width_in = [], config.block_out_channels[0]
    last = len(config.block_out_channels) - 1
    for i, width in enumerate(config.block_out_channels):
        levels.append(
            Level(
                config,
                [width_in] + [width] * (config.layers_per_block - 1),
                width,
                time_channels,
                only_cross=config.only_cross_attention[i] if i else None,
                resample=Downsample if i < last else None,
                rngs=rngs,
            )
        )
        width_in = width
    return levels


def _up_levels(config: UNetConfig, time_channels: int, rngs: nnx.Rngs | None) -> list[Level]:
    widths, layers = config.block_out_channels, config.layers_per_block
    skips = [widths[0]]
    for i, width in enumerate(widths):
        skips += [width] * layers + ([width] if i < len(widths) - 1 else [])
    levels, current = [], widths[-1]
    for i in reversed(range(len(widths))):
        inputs = []
        for _ in range(layers + 1):
            inputs.append(current + skips.pop())
            current = widths[i]
        levels.append(
            Level(
                config,
                inputs,
                widths[i],
                time_channels,
                only_cross=config.only_cross_attention[i] if i else None,
                resample=Upsample if i else None,
                rngs=rngs,
            )
        )
    return levels
