"""The generator of Real-ESRGAN x4plus (Wang et al., ICCVW 2021), the teacher of the video decoder.

Residual-in-residual dense blocks (RRDB; Wang et al., ECCVW 2018):

    x_i = lrelu(conv([x, x_1, ..., x_{i-1}])),  i = 1..4
    d(x) = x + 0.2 conv([x, x_1, ..., x_4])                                                   (1)
    b(x) = x + 0.2 d(d(d(x)))                                                                 (2)

between two convolutions with a skip connection; then two nearest-neighbour enlargements by 2, each
with a convolution.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from uav_jax.layers.conv import Conv2d
from uav_jax.layers.linear import layer_settings
from uav_jax.layers.resample import nearest
from uav_jax.models.rrdb.config import RRDBConfig
from uav_jax.shapes import Frames

RESIDUAL_SCALE = 0.2
leaky_relu = partial(jax.nn.leaky_relu, negative_slope=0.2)


class DenseBlock(nnx.Module):
    """Equation (1)."""

    def __init__(self, config: RRDBConfig, *, rngs: nnx.Rngs | None):
        width, growth = config.width, config.growth
        settings = layer_settings(config, rngs)
        outputs = (growth, growth, growth, growth, width)
        self.convs = nnx.List(
            [Conv2d(width + i * growth, out, **settings) for i, out in enumerate(outputs)]
        )

    def __call__(self, x: Frames) -> Frames:
        *layers, last = self.convs
        features = x
        for conv in layers:
            features = jnp.concatenate([features, leaky_relu(conv(features))], axis=-1)
        return x + RESIDUAL_SCALE * last(features)


class RRDBlock(nnx.Module):
    """Equation (2)."""

    def __init__(self, config: RRDBConfig, *, rngs: nnx.Rngs | None):
        self.dense = nnx.List([DenseBlock(config, rngs=rngs) for _ in range(3)])

    def __call__(self, x: Frames) -> Frames:
        y = x
        for block in self.dense:
            y = block(y)
        return x + RESIDUAL_SCALE * y


class RRDBNet(nnx.Module):
    """RGB images in [-1, 1] to images four times as large."""

    def __init__(self, config: RRDBConfig, *, rngs: nnx.Rngs | None):
        settings, width = layer_settings(config, rngs), config.width
        self.dtype = config.dtype
        self.conv_first = Conv2d(3, width, **settings)
        self.blocks = nnx.List([RRDBlock(config, rngs=rngs) for _ in range(config.blocks)])
        self.conv_body = Conv2d(width, width, **settings)
        self.conv_up1 = Conv2d(width, width, **settings)
        self.conv_up2 = Conv2d(width, width, **settings)
        self.conv_hr = Conv2d(width, width, **settings)
        self.conv_last = Conv2d(width, 3, **settings)

    def __call__(self, images: Float[Array, "N h w 3"]) -> Float[Array, "N H W 3"]:
        first = x = self.conv_first((images + 1) / 2)
        for block in self.blocks:
            x = block(x)
        x = first + self.conv_body(x)
        for conv in (self.conv_up1, self.conv_up2):
            x = leaky_relu(conv(nearest(x, 2 * x.shape[1], 2 * x.shape[2])))
        return 2 * self.conv_last(leaky_relu(self.conv_hr(x))).astype(jnp.float32) - 1
