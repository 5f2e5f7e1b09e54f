"""What the TPU compiler estimates for the released U-Net's layers, each by itself.

    python benchmarks/tpu_layers.py [--chip v5e] [--levels 0 1] [--json]

Compiles one residual block, one temporal module and one transformer of a level for one chip (extra
"tpu"): two windows of 8 frames of 64 x 64 latents, one prompt, bfloat16. Prints the sum of the
compiler's estimated cycles, and what the same FLOPs take at the chip's peak. Minutes a level.
"""

import argparse
import json
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from uav_jax.layers.linear import layer_settings
from uav_jax.layers.residual import ResidualBlock
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import TemporalModule
from uav_jax.models.unet.transformer import Transformer
from uav_jax.training.planning import estimated_cycles

ROWS, FRAMES, SIDE = 2, 8, 64
PEAK = {"v5e": 197e12 / 1.5e9, "v6e": 918e12 / 1.75e9}
"""bfloat16 FLOPs a cycle."""


def layers(config: UNetConfig, level: int, shape) -> dict:
    """Name -> (constructor, inputs) of a level's layers."""
    channels, time_channels = config.block_out_channels[level], 4 * config.block_out_channels[0]
    side = SIDE >> level
    x = shape((ROWS, FRAMES, side, side, channels))
    time, text = shape((ROWS, time_channels)), shape((ROWS, 77, config.cross_attention_dim))
    block = partial(
        ResidualBlock,
        channels,
        channels,
        groups=config.norm_num_groups,
        epsilon=1e-5,
        time_channels=time_channels,
        **layer_settings(config, None),
    )
    found = {
        "residual block": (block, (x, time)),
        "temporal module": (
            partial(TemporalModule, config, channels, time_channels, rngs=None),
            (x, time),
        ),
    }
    if level:
        only_cross = config.only_cross_attention[level]
        freqs = shape((config.rotary_dims // 2,), jnp.float32)
        found["transformer"] = (
            partial(Transformer, config, channels, only_cross, rngs=None),
            (x, text, freqs),
        )
    return found


def main() -> None:
    """Prints a line for each layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chip", choices=PEAK, default="v5e")
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    slice_ = topologies.get_topology_desc(platform="tpu", topology_name=f"{options.chip}:2x2")
    sharding = SingleDeviceSharding(slice_.devices[0])

    def shape(size, dtype=jnp.bfloat16):
        return jax.ShapeDtypeStruct(size, dtype, sharding=sharding)

    config = UNetConfig.released(dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    report = {}
    for level in options.levels:
        for name, (make, inputs) in layers(config, level, shape).items():
            graph, state = nnx.split(nnx.eval_shape(make))
            state = jax.tree.map(lambda v: shape(v.shape, v.dtype), state)

            def call(state, *inputs, graph=graph):
                return nnx.merge(graph, state)(*inputs)

            compiled = jax.jit(call).lower(state, *inputs).compile()
            cycles = estimated_cycles(compiled.as_text() or "")
            peak = (compiled.cost_analysis() or {}).get("flops", 0) / PEAK[options.chip]
            report[f"{name}, level {level}"] = {"cycles": cycles, "at peak": peak}
            print(f"{name}, level {level}: {cycles / 1e6:.2f} Mcycles, at peak {peak / 1e6:.2f}")
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
