"""Memory of one call of the U-Net and of the decoder, as the compiler plans it.

    python benchmarks/memory.py [--json]

Float32 values held at once per pixel and channel of the first level: the constants that
``uav_jax/pipeline/plan.py`` counts with.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from uav_jax.diffusion.sampler import guided
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.pipeline.decode import decode_program
from uav_jax.pipeline.plan import (
    DECODER_VALUES,
    RESIDUAL_DECODER_VALUES,
    TRUNK_DECODER_VALUES,
    UNET_VALUES,
)
from uav_jax.shapes import UPSCALE

NUMBER, REAL = (jax.ShapeDtypeStruct((), t) for t in (jnp.int32, jnp.float32))


def video(*shape: int) -> jax.ShapeDtypeStruct:
    """A float32 array."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def split(make: Callable):
    """A network's graph and shapes."""
    return nnx.split(nnx.eval_shape(make))


def temporary(lowered: jax.stages.Lowered) -> int:
    """Bytes beside arguments and results."""
    memory = lowered.compile().memory_analysis()
    assert memory is not None
    return memory.temp_size_in_bytes


def main() -> None:
    """Prints both figures for several sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    unet, vae = UNetConfig.small(), VAEConfig.small(video=True)
    graph, state = split(lambda: VideoUNet(unet, rngs=None))
    found: dict[str, list[float]] = {"unet": []}
    for rows, side in ((1, 32), (2, 32), (1, 64)):
        window = (rows, 8, side, side)
        text = video(1, 77, unet.cross_attention_dim)
        arguments = (video(*window, 4), video(*window, 3), NUMBER, NUMBER, text, REAL)
        values = temporary(guided.lower(graph, state, *arguments)) / 4
        found["unet"].append(values / (rows * 8 * side**2) / unet.block_out_channels[0])
    trunk = VAEConfig.default_model()
    assert trunk.trunk
    for name, config, width in (
        ("decoder", replace(vae, residual_blocks=0), vae.block_out_channels[0]),
        ("residual decoder", vae, vae.block_out_channels[0]),
        ("trunk decoder", trunk, trunk.trunk.width),
    ):
        found[name] = []
        graph, state = split(partial(VideoAutoencoder, config, rngs=None))
        for side in (32, 64):
            group = (1, config.group, side, side)
            lowered = decode_program.lower(graph, state, video(*group, 4), video(*group, 3), REAL)
            pixels = config.group * side**2 * UPSCALE**2
            found[name].append(temporary(lowered) / 4 / pixels / width)
    constants = (UNET_VALUES, DECODER_VALUES, RESIDUAL_DECODER_VALUES, TRUNK_DECODER_VALUES)
    for (name, values), constant in zip(found.items(), constants, strict=True):
        print(f"{name}: {', '.join(f'{v:.2f}' for v in values)}; counted with {constant}")
    if options.json:
        print(json.dumps(found | {"ratio": max(found["unet"]) / UNET_VALUES}))


if __name__ == "__main__":
    main()
