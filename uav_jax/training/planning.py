"""What a run would need, without running it: parameter counts, memory, and a compiled step."""

import re
import resource
import time
from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import AbstractMesh, Mesh
from jaxtyping import PyTree

from uav_jax.data.phrases import PHRASES
from uav_jax.pipeline.prompt import MAX_TOKENS
from uav_jax.training.config import TrainConfig
from uav_jax.training.loop import check_mesh, compiled_step, stored
from uav_jax.training.mesh import batch_shardings, gathered_shardings, parameter_shardings
from uav_jax.training.sources import Shapes
from uav_jax.training.step import TrainState, initial_state
from uav_jax.training.task import Task, own
from uav_jax.training.tasks import make_task

GIB = 2**30

HBM = {"v4": 32, "v5e": 16, "v5p": 95, "v6e": 32}
"""GiB of memory of a chip."""

COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")


LARGEST = 8
"""Collectives that a report names."""


def batch_shapes(config: TrainConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """The global batch."""
    data = config.data
    clip = (data.batch_size, data.frames)
    shapes = {
        "target": jax.ShapeDtypeStruct((*clip, data.crop, data.crop, 3), jnp.uint8),
        "tokens": jax.ShapeDtypeStruct((data.batch_size, MAX_TOKENS), jnp.int32),
        "index": jax.ShapeDtypeStruct((data.batch_size,), jnp.int32),
    }
    if data.kind == "flow":
        square = (data.batch_size, data.crop, data.crop)
        shapes["target"] = jax.ShapeDtypeStruct((data.batch_size, 2, *square[1:], 3), jnp.uint8)
        shapes["flow"] = jax.ShapeDtypeStruct((*square, 2), jnp.float32)
    elif data.low_quality:
        small = data.crop // 4
        shapes["low_quality"] = jax.ShapeDtypeStruct((*clip, small, small, 3), jnp.uint8)
    if data.kind == "teacher_targets":
        motion = (data.batch_size, data.frames - 1, 2, 3)
        shapes["teacher"] = shapes["drawing"] = shapes["target"]
        shapes["phrases"] = jax.ShapeDtypeStruct((data.batch_size, len(PHRASES)), jnp.float32)
        shapes["motion"] = jax.ShapeDtypeStruct(motion, jnp.float32)
    return shapes


def _shapes(config: TrainConfig) -> tuple[Task, TrainState, Mapping]:
    """(task, state, frozen parameters) of shapes alone."""
    task = make_task(config, Shapes())
    state = jax.eval_shape(lambda trained: initial_state(trained, config.optimizer), task.trained)
    frozen = jax.eval_shape(lambda values: stored(values, config.frozen_dtype), task.frozen)
    return task, state, frozen


def _bytes_per_device(shapes: PyTree, shardings: PyTree) -> int:
    def size(leaf, sharding) -> int:
        return prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize

    return sum(jax.tree.leaves(jax.tree.map(size, shapes, shardings)))


def _count(parameters: Mapping) -> int:
    return sum(prod(value.shape) for value in parameters.values())


def describe(config: TrainConfig, mesh: Mesh | AbstractMesh) -> str:
    """Parameter counts, mesh, and memory per device apart from activations."""
    check_mesh(config, mesh)
    task, state, frozen = _shapes(config)
    trained, rest = _count(own(task.trained)), _count(task.rest)
    beside = _count(task.trained) - trained
    used = gathered_shardings(mesh, config.mesh, task.trained)
    memory = {
        "weights, average, moments": _bytes_per_device(state, parameter_shardings(mesh, state)),
        "gathered weights, gradient": 2 * _bytes_per_device(task.trained, used),
        "frozen": _bytes_per_device(frozen, gathered_shardings(mesh, config.mesh, frozen)),
        "batch": _bytes_per_device(
            batch_shapes(config), batch_shardings(mesh, batch_shapes(config))
        ),
    }
    sizes = " x ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    lines = [
        f"stage       {config.stage}",
        f"parameters  {trained + rest:,} in the network",
        f"trained     {trained:,}",
        f"frozen      {rest:,}",
        f"others      {_count(frozen) - rest:,} in networks that are only read",
        f"mesh        {sizes} = {prod(mesh.shape.values())} devices",
        f"batch       {config.data.batch_size} clips of {config.data.frames} frames, "
        f"{config.data.crop} x {config.data.crop}",
    ]
    if beside:
        lines.insert(4, f"beside      {beside:,} trained in other networks")
    lines += [f"{name:27} {value / GIB:8.3f} GiB a device" for name, value in memory.items()]
    lines.append(f"{'sum without activations':27} {sum(memory.values()) / GIB:8.3f} GiB a device")
    return "\n".join(lines)


def compile_for(config: TrainConfig, topology: str) -> str:
    """Compiles the step for a TPU slice that is not there, such as ``v5e:4x4``, and reports.

    Needs the package ``libtpu`` (extra ``tpu``). ``ValueError`` for an unknown topology.
    """
    try:
        description = topologies.get_topology_desc(platform="tpu", topology_name=topology)
    except Exception as error:  # the plug-in's own exception types are not exported
        raise ValueError(
            f"topology {topology!r}: {str(error).splitlines()[0]}; expected one such as v5e:4x4 "
            'or v5p:2x2x4, and the extra "tpu" installed'
        ) from error
    mesh = config.mesh.make(description.devices)
    summary = describe(config, mesh)
    task, state, frozen = _shapes(config)
    batch, key = batch_shapes(config), jax.eval_shape(lambda: jax.random.key(0))
    started = time.monotonic()
    lowered = compiled_step(config, task, mesh, state, frozen, batch).lower(
        state, frozen, batch, key
    )
    compiled = lowered.compile()
    seconds = time.monotonic() - started
    return "\n".join([summary, *_report(compiled, topology, seconds)])


def _report(compiled: jax.stages.Compiled, topology: str, seconds: float) -> list[str]:
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
    assert memory is not None
    chip = topology.partition(":")[0]
    argument, temporary = memory.argument_size_in_bytes, memory.temp_size_in_bytes
    output = memory.output_size_in_bytes - memory.alias_size_in_bytes
    total = argument + temporary + output + memory.generated_code_size_in_bytes
    lines = [
        f"compiled for {topology} in {seconds:.0f} s, peak host memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB; per chip:",
        f"arguments   {argument / GIB:.3f} GiB",
        f"temporary   {temporary / GIB:.3f} GiB",
        f"results     {output / GIB:.3f} GiB beyond the donated state",
        f"code        {memory.generated_code_size_in_bytes / GIB:.3f} GiB",
        f"all         {total / GIB:.3f} GiB of {HBM.get(chip, float('nan'))} GiB",
        f"FLOPs       {cost.get('flops', float('nan')):.4g}",
        f"bytes       {cost.get('bytes accessed', float('nan')):.4g}",
    ]
    program = compiled.as_text() or ""
    cycles = estimated_cycles(program)
    if cycles:
        lines.append(f"estimate    {cycles:.4g} cycles (the compiler's, summed over the program)")
    found = collectives(program)
    for kind in COLLECTIVES:
        sizes = [collective.size for collective in found if collective.kind == kind]
        if sizes:
            lines.append(f"{kind:18} {len(sizes):5} of {sum(sizes) / GIB:.3f} GiB")
    largest = sorted(found, key=lambda collective: -collective.size)[:LARGEST]
    return lines + [f"  {c.size / GIB:.3f} GiB {c.kind} of {c.source}" for c in largest]


_BYTES = {"f32": 4, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "pred": 1, "u8": 1, "s8": 1}


class Collective(NamedTuple):
    """A collective: its kind, the bytes of its result, and the operation that it comes from."""

    kind: str
    size: int
    source: str


def estimated_cycles(program: str) -> int:
    """The compiler's own estimate: the sum over a TPU program's instructions, 0 elsewhere."""
    return sum(int(number) for number in re.findall(r'"estimated_cycles":"(\d+)"', program))


def collectives(program: str) -> list[Collective]:
    """Every collective of a compiled program's text.

    One that the compiler spread over several computations has one channel and counts once.
    """
    found: list[Collective] = []
    channels: set[str] = set()
    for line in program.splitlines():
        match = re.search(rf"= (.*?) ({'|'.join(COLLECTIVES)})(-start)?\(", line)
        channel = re.search(r"channel_id=(\d+)", line)
        if match is None or (channel and channel[1] in channels):
            continue
        channels |= {channel[1]} if channel else set()
        size = 0
        for dtype, dimensions in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", match[1]):
            size += _BYTES.get(dtype, 0) * prod(int(d) for d in dimensions.split(",") if d)
        source = re.search(r'op_name="([^"]*)"', line)
        found.append(Collective(match[2], size, source[1] if source else "no name"))
    return found
