"""RAFT: recurrent all-pairs field transforms for optical flow (Teed & Deng, ECCV 2020).

    C(p, q) = <f1(p), f2(q)> / sqrt(D),  pooled over q into a pyramid                        (1)
    lookup_l(p) = C_l(p, (p + flow) / 2^l + r),  |r| <= 4, bilinear, zero outside            (2)
    flow <- flow + head(GRU(h, [context, motion(lookup, flow)]))                             (3)
    full flow = convex combination of 8 * flow over 3x3 neighbours                           (4)

Flow is (dx, dy) from the first image to the second, in pixels.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from uav_jax.layers.conv import Conv2d
from uav_jax.layers.linear import layer_settings
from uav_jax.models.raft.config import RAFTConfig
from uav_jax.shapes import Frames

EPSILON = 1e-5


class InstanceNorm(nnx.Module):
    """Per image and channel over H and W, no parameters."""

    def __call__(self, x: Frames) -> Frames:
        x = x.astype(jnp.float32)
        centred = x - x.mean((1, 2), keepdims=True)
        return centred * jax.lax.rsqrt(jnp.square(centred).mean((1, 2), keepdims=True) + EPSILON)


class InferenceBatchNorm(nnx.Module):
    """Batch normalisation with the statistics of the checkpoint."""

    def __init__(self, channels: int, config: RAFTConfig):
        self.scale = nnx.Param(jnp.ones((channels,), config.param_dtype))
        self.bias = nnx.Param(jnp.zeros((channels,), config.param_dtype))
        self.mean = nnx.BatchStat(jnp.zeros((channels,), config.param_dtype))
        self.variance = nnx.BatchStat(jnp.ones((channels,), config.param_dtype))

    def __call__(self, x: Frames) -> Frames:
        scale = self.scale[...] * jax.lax.rsqrt(self.variance[...].astype(jnp.float32) + EPSILON)
        return (x - self.mean[...]) * scale + self.bias[...]


class EncoderBlock(nnx.Module):
    """Two 3x3 convolutions with norm and ReLU, plus the (strided) input, then ReLU."""

    def __init__(
        self, in_channels: int, channels: int, stride: int, config: RAFTConfig, norm, rngs
    ):
        settings = layer_settings(config, rngs)
        self.conv1 = Conv2d(in_channels, channels, stride=stride, **settings)
        self.norm1 = norm(channels)
        self.conv2 = Conv2d(channels, channels, **settings)
        self.norm2 = norm(channels)
        self.strided = stride > 1
        if self.strided:
            self.shortcut = Conv2d(in_channels, channels, 1, stride=stride, **settings)
            self.shortcut_norm = norm(channels)

    def __call__(self, x: Frames) -> Frames:
        y = jax.nn.relu(self.norm1(self.conv1(x)))
        y = jax.nn.relu(self.norm2(self.conv2(y)))
        if self.strided:
            x = self.shortcut_norm(self.shortcut(x))
        return jax.nn.relu(x + y)


class Encoder(nnx.Module):
    """Images to features at an eighth of their size."""

    def __init__(self, out_channels: int, config: RAFTConfig, *, batch_norm: bool, rngs):
        settings = layer_settings(config, rngs)

        def norm(channels: int):
            return InferenceBatchNorm(channels, config) if batch_norm else InstanceNorm()

        def layer(in_channels: int, channels: int, stride: int):
            return nnx.List(
                [
                    EncoderBlock(in_channels, channels, stride, config, norm, rngs),
                    EncoderBlock(channels, channels, 1, config, norm, rngs),
                ]
            )

        first, second, third = config.encoder_channels
        self.conv1 = Conv2d(3, first, 7, stride=2, **settings)
        self.norm1 = norm(first)
        self.layer1 = layer(first, first, 1)
        self.layer2 = layer(first, second, 2)
        self.layer3 = layer(second, third, 2)
        self.conv2 = Conv2d(third, out_channels, 1, **settings)

    def __call__(self, x: Frames) -> Frames:
        x = jax.nn.relu(self.norm1(self.conv1(x)))
        for layer in (self.layer1, self.layer2, self.layer3):
            for block in layer:
                x = block(x)
        return self.conv2(x).astype(jnp.float32)


class MotionEncoder(nnx.Module):
    """Correlation and flow to motion features; the flow itself is appended."""

    def __init__(self, config: RAFTConfig, rngs):
        settings = layer_settings(config, rngs)
        window = 2 * config.correlation_radius + 1
        c1, c2, f1, f2 = config.motion_channels
        self.convc1 = Conv2d(config.correlation_levels * window**2, c1, 1, **settings)
        self.convc2 = Conv2d(c1, c2, **settings)
        self.convf1 = Conv2d(2, f1, 7, **settings)
        self.convf2 = Conv2d(f1, f2, **settings)
        self.conv = Conv2d(c2 + f2, config.motion_out_channels - 2, **settings)

    def __call__(self, correlation: Frames, flow: Frames) -> Frames:
        c = jax.nn.relu(self.convc2(jax.nn.relu(self.convc1(correlation))))
        f = jax.nn.relu(self.convf2(jax.nn.relu(self.convf1(flow))))
        out = jax.nn.relu(self.conv(jnp.concatenate([c, f], -1)))
        return jnp.concatenate([out, flow.astype(out.dtype)], -1)


class SeparableGRU(nnx.Module):
    """A convolutional GRU along rows, then along columns."""

    def __init__(self, config: RAFTConfig, rngs):
        settings = layer_settings(config, rngs)
        hidden = config.hidden_channels
        width = 2 * hidden + config.motion_out_channels
        for index, kernel in ((1, (1, 5)), (2, (5, 1))):
            for gate in "zrq":
                setattr(self, f"conv{gate}{index}", Conv2d(width, hidden, kernel, **settings))

    def __call__(self, h: Frames, x: Frames) -> Frames:
        for index in (1, 2):
            convolve = {gate: getattr(self, f"conv{gate}{index}") for gate in "zrq"}
            hx = jnp.concatenate([h, x], -1)
            z = jax.nn.sigmoid(convolve["z"](hx))
            r = jax.nn.sigmoid(convolve["r"](hx))
            q = jnp.tanh(convolve["q"](jnp.concatenate([r * h, x], -1)))
            h = (1 - z) * h + z * q
        return h


class Head(nnx.Module):
    """Convolution, ReLU, convolution."""

    def __init__(self, config: RAFTConfig, out_channels: int, kernel: int, rngs):
        settings = layer_settings(config, rngs)
        self.conv1 = Conv2d(config.hidden_channels, config.head_channels, **settings)
        self.conv2 = Conv2d(config.head_channels, out_channels, kernel, **settings)

    def __call__(self, x: Frames) -> Frames:
        return self.conv2(jax.nn.relu(self.conv1(x))).astype(jnp.float32)


class UpdateBlock(nnx.Module):
    """Equation (3) and the mask of equation (4)."""

    def __init__(self, config: RAFTConfig, rngs):
        self.motion = MotionEncoder(config, rngs)
        self.gru = SeparableGRU(config, rngs)
        self.flow_head = Head(config, 2, 3, rngs)
        self.mask_head = Head(config, 64 * 9, 1, rngs)

    def __call__(self, hidden: Frames, context: Frames, correlation: Frames, flow: Frames):
        x = jnp.concatenate([context, self.motion(correlation, flow)], -1)
        hidden = self.gru(hidden, x)
        return hidden, self.flow_head(hidden)


def correlation_pyramid(f1: Frames, f2: Frames, levels: int) -> list[Float[Array, "N P h w"]]:
    """Equation (1): every position of image 1 against ever coarser maps of image 2.

    Levels that pooling would make empty are left as one zero, so small images work.
    """
    N, H, W, C = f1.shape
    volume = jnp.einsum("npc,nhwc->nphw", f1.reshape(N, H * W, C), f2) / jnp.sqrt(float(C))
    pyramid = [volume]
    for _ in range(levels - 1):
        h, w = volume.shape[2] // 2, volume.shape[3] // 2
        if h and w:
            blocks = volume[:, :, : 2 * h, : 2 * w].reshape(N, H * W, h, 2, w, 2)
            volume = blocks.mean((3, 5))
        else:
            volume = jnp.zeros((N, H * W, 1, 1), volume.dtype)
        pyramid.append(volume)
    return pyramid


def correlation_lookup(
    pyramid: list[Float[Array, "N P h w"]], coordinates: Float[Array, "N H W 2"], radius: int
) -> Frames:
    """Equation (2), channel ``level * 81 + (dx + 4) * 9 + (dy + 4)``.

    Bilinear weights are written as two small matrices per position, so that the lookup is a pair of
    matmuls instead of gathers; what lies outside has no weight.
    """
    N, H, W, _ = coordinates.shape
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    out = []
    for level, volume in enumerate(pyramid):
        centre = coordinates.reshape(N, H * W, 2) / 2**level

        def hat(position: Array, size: int) -> Float[Array, "N P window size"]:
            distance = (position[..., None] + offsets)[..., None] - jnp.arange(size)
            return jnp.maximum(0, 1 - jnp.abs(distance))

        columns, rows = hat(centre[..., 0], volume.shape[3]), hat(centre[..., 1], volume.shape[2])
        part = jnp.einsum("npih,nphw->npiw", rows, volume)
        out.append(jnp.einsum("npjw,npiw->npji", columns, part).reshape(N, H, W, -1))
    return jnp.concatenate(out, -1)


def upsample_flow(flow: Frames, mask: Frames) -> Frames:
    """Equation (4): flow at 1/8 size to full size with a learned convex combination."""
    N, H, W, _ = flow.shape
    weights = jax.nn.softmax(mask.reshape(N, H, W, 9, 8, 8), axis=3)
    padded = jnp.pad(8 * flow, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbours = jnp.stack(
        [padded[:, i : i + H, j : j + W] for i in range(3) for j in range(3)], axis=3
    )
    full = jnp.einsum("nhwkab,nhwkc->nhawbc", weights, neighbours)
    return full.reshape(N, 8 * H, 8 * W, 2)


class RAFT(nnx.Module):
    """Flow from one image to another, H and W multiples of 8."""

    def __init__(self, config: RAFTConfig, *, rngs: nnx.Rngs | None):
        self.config = config
        self.fnet = Encoder(config.feature_channels, config, batch_norm=False, rngs=rngs)
        self.cnet = Encoder(2 * config.hidden_channels, config, batch_norm=True, rngs=rngs)
        self.update = UpdateBlock(config, rngs)

    def __call__(
        self, image1: Frames, image2: Frames, iterations: int | None = None
    ) -> tuple[Float[Array, "N h w 2"], Float[Array, "N H W 2"]]:
        """(flow at 1/8 size, flow at full size) after the last iteration; images in [-1, 1]."""
        features = self.fnet(jnp.concatenate([image1, image2]))
        f1, f2 = jnp.split(features, 2)
        return self.from_features(f1, f2, self.cnet(image1), iterations)

    def from_features(
        self, f1: Frames, f2: Frames, context: Frames, iterations: int | None = None
    ) -> tuple[Float[Array, "N h w 2"], Float[Array, "N H W 2"]]:
        """The recurrent part, for callers that encode each frame of a clip once."""
        (hidden, flow), _ = self._iterated(f1, f2, context, iterations, every=False)
        return flow, upsample_flow(flow, 0.25 * self.update.mask_head(hidden))

    def predictions(
        self, image1: Frames, image2: Frames, iterations: int | None = None
    ) -> Float[Array, "K N H W 2"]:
        """Full-size flow after each of the K iterations, for training."""
        f1, f2 = jnp.split(self.fnet(jnp.concatenate([image1, image2])), 2)
        _, flows = self._iterated(f1, f2, self.cnet(image1), iterations, every=True)
        assert flows is not None
        return flows

    def _iterated(self, f1: Frames, f2: Frames, context: Frames, iterations, *, every: bool):
        """((hidden state, flow), full-size flow of every iteration if wanted)."""
        config = self.config
        N, H, W, _ = f1.shape
        pyramid = correlation_pyramid(f1, f2, config.correlation_levels)
        hidden, inputs = jnp.split(context, 2, axis=-1)
        hidden, inputs = jnp.tanh(hidden), jax.nn.relu(inputs)
        columns, rows = jnp.meshgrid(jnp.arange(W), jnp.arange(H))
        grid = jnp.stack([columns, rows], -1).astype(jnp.float32)

        def iterate(carry: tuple[Array, Array], _):
            hidden, flow = carry[0], jax.lax.stop_gradient(carry[1])
            correlation = correlation_lookup(pyramid, grid + flow, config.correlation_radius)
            hidden, change = self.update(hidden, inputs, correlation, flow)
            flow = flow + change
            if not every:
                return (hidden, flow), None
            return (hidden, flow), upsample_flow(flow, 0.25 * self.update.mask_head(hidden))

        start = (hidden, jnp.zeros((N, H, W, 2), jnp.float32))
        return jax.lax.scan(
            iterate, start, length=config.iterations if iterations is None else iterations
        )
