"""Transformer over space, text and time: the attention layer of the U-Net's blocks."""

from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from uav_jax.layers.attention import CrossAttention, FeedForward, TemporalAttention
from uav_jax.layers.conv import laid_out_for_images, laid_out_for_tokens
from uav_jax.layers.linear import Linear, layer_settings
from uav_jax.layers.norm import GroupNorm, LayerNorm
from uav_jax.layers.residual import ResidualBlock
from uav_jax.models.unet.config import UNetConfig
from uav_jax.shapes import Text, Video

ADDED_EPSILON = 1e-6
"""Epsilon of the GroupNorms that the video model added; the image model's own have 1e-5."""


class TransformerBlock(nnx.Module):
    """Attention 1, attention to the text, attention over time, GEGLU; pre-norm residuals."""

    def __init__(
        self, config: UNetConfig, channels: int, only_cross: bool, *, rngs: nnx.Rngs | None
    ):
        settings = layer_settings(config, rngs)
        text = config.cross_attention_dim
        self.only_cross = only_cross
        self.norm1 = LayerNorm(channels, **settings)
        self.attn1 = CrossAttention(
            channels, text if only_cross else channels, config.num_heads, **settings
        )
        self.norm2 = LayerNorm(channels, **settings)
        self.attn2 = CrossAttention(channels, text, config.num_heads, **settings)
        self.norm_temporal = LayerNorm(channels, **settings)
        self.attn_temporal = TemporalAttention(channels, config.num_heads, **settings)
        self.norm3 = LayerNorm(channels, **settings)
        self.ff = FeedForward(channels, **settings)

    def __call__(self, x: Video, text: Text, freqs: Float[Array, " half"]) -> Video:
        context = text if self.only_cross else None
        x = x + self.attn1(self.norm1(x), context, fold=partial(self.norm1.folded, x))
        x = x + self.attn2(self.norm2(x), text, fold=partial(self.norm2.folded, x))
        fold = partial(self.norm_temporal.folded, x)
        x = x + self.attn_temporal(self.norm_temporal(x), freqs, fold=fold)
        return x + self.ff(self.norm3(x), fold=partial(self.norm3.folded, x))


class Transformer(nnx.Module):
    """A temporal residual block, then one transformer block between two linear layers."""

    def __init__(
        self, config: UNetConfig, channels: int, only_cross: bool, *, rngs: nnx.Rngs | None
    ):
        settings = layer_settings(config, rngs)
        self.resblock_temporal = ResidualBlock(
            channels,
            channels,
            groups=config.norm_num_groups,
            epsilon=ADDED_EPSILON,
            temporal_kernels=(3, 3),
            zero_init=True,
            **settings,
        )
        self.norm = GroupNorm(
            channels, config.norm_num_groups, epsilon=1e-6, per_frame=True, **settings
        )
        self.proj_in = Linear(channels, channels, **settings)
        self.transformer_blocks = nnx.List(
            [TransformerBlock(config, channels, only_cross, rngs=rngs)]
        )
        self.proj_out = Linear(channels, channels, **settings)

    def __call__(self, x: Video, text: Text, freqs: Float[Array, " half"]) -> Video:
        return self.finish(*self.start(x), text, freqs)

    def start(self, x: Video) -> tuple[Video, Video]:
        """What is the same for every prompt: the temporal block's output, and tokens from it."""
        residual = laid_out_for_tokens(self.resblock_temporal(laid_out_for_images(x)))
        return residual, self.proj_in(self.norm(residual))

    def finish(self, residual: Video, x: Video, text: Text, freqs: Float[Array, " half"]) -> Video:
        """The rest, for one prompt."""
        for block in self.transformer_blocks:
            x = block(x, text, freqs)
        return self.proj_out(x) + residual
