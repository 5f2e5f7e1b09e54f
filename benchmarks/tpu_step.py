"""One denoising step at the released size, tiles and windows over a TPU slice that is not there.

    python benchmarks/tpu_step.py --topology v5e:2x4 --tile 64 --rows 2 [--json]

Compiles the U-Net's call (``rows`` windows of 8 frames of ``tile`` x ``tile`` latents a chip, both
prompts, bfloat16) with libtpu (extra "tpu") and reports a chip's memory, FLOPs, collectives and the
compiler's own estimate. Tiles of any frame are such rows, so the frame's size does not matter.
With ``--reused`` it is the call of a step that has its deep features from an earlier one
(``--deep_reuse``).
"""

import argparse
import json
import time
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from uav_jax.diffusion.sampler import guided
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.pipeline.devices import AXIS
from uav_jax.training.planning import GIB, HBM, collectives, estimated_cycles


def main() -> None:
    """Prints the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topology", default="v5e:2x4")
    parser.add_argument("--tile", type=int, default=64)
    parser.add_argument("--rows", type=int, default=2, help="of a chip")
    parser.add_argument("--reused", action="store_true", help="deep features of an earlier step")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    description = topologies.get_topology_desc(platform="tpu", topology_name=options.topology)
    mesh = Mesh(description.devices, (AXIS,))
    config = UNetConfig.released(dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    graph, state = nnx.split(nnx.eval_shape(lambda: VideoUNet(config, rngs=None)))
    whole, divided = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), (AXIS,)))
    rows = options.rows * mesh.size

    def shape(size, dtype, sharding=whole):
        return jax.ShapeDtypeStruct(size, dtype, sharding=sharding)

    state = jax.tree.map(lambda v: shape(v.shape, v.dtype), state)
    window = (rows, 8, options.tile, options.tile)
    number = shape((), jnp.int32)
    arguments = (
        graph,
        state,
        shape((*window, 4), jnp.float32, divided),
        shape((*window, 3), jnp.float32, divided),
        number,
        number,
        shape((2, 77, config.cross_attention_dim), jnp.bfloat16),
        shape((), jnp.float32),
    )
    deep = ()
    if options.reused:
        _, deep = jax.eval_shape(partial(guided, keep=True), *arguments)
        deep = tuple(shape(v.shape, v.dtype, divided) for v in deep)
    start = time.monotonic()
    compiled = guided.lower(*arguments, deep).compile()
    seconds = time.monotonic() - start
    memory, text = compiled.memory_analysis(), compiled.as_text() or ""
    found = collectives(text)
    assert memory is not None
    held = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    held += memory.output_size_in_bytes + memory.generated_code_size_in_bytes
    chip = options.topology.partition(":")[0]
    report = {
        "topology": options.topology,
        "rows a chip": options.rows,
        "latents": f"8 x {options.tile} x {options.tile}",
        "arguments GiB": memory.argument_size_in_bytes / GIB,
        "temporary GiB": memory.temp_size_in_bytes / GIB,
        "all GiB": held / GIB,
        "of GiB": HBM.get(chip),
        "FLOPs": (compiled.cost_analysis() or {}).get("flops"),
        "estimated cycles": estimated_cycles(text),
        "collectives": len(found),
        "collective GiB": sum(c.size for c in found) / GIB,
        "compiled in s": seconds,
    }
    for name, value in report.items():
        print(f"{name:18} {value:.4g}" if isinstance(value, float) else f"{name:18} {value}")
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
