"""The devices of this process: how work is divided over them, and how much they hold."""

import os
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Literal, TypeVar

import jax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXIS = "data"
"""The mesh axis that rows (windows of tiles, groups of tiles) are divided over."""

SMALLEST_DIVIDED = 2**14
"""Values below which a parameter is kept whole on every device."""

Weights = Literal["replicated", "fsdp"]

Network = TypeVar("Network", bound=nnx.Module)


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh | None:
    """A mesh over the devices of this process; None where there is one, which needs none."""
    devices = jax.local_devices() if devices is None else devices
    if len(devices) == 1:
        return None
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def over_rows(mesh: Mesh | None) -> NamedSharding | None:
    """Rows divided over the mesh."""
    return mesh and NamedSharding(mesh, PartitionSpec(AXIS))


def _parameter(mesh: Mesh, shape: tuple[int, ...], weights: Weights) -> NamedSharding:
    ways = mesh.shape[AXIS]
    fitting = [axis for axis, size in enumerate(shape) if size % ways == 0]
    if weights == "replicated" or prod(shape) < SMALLEST_DIVIDED or not fitting:
        return NamedSharding(mesh, PartitionSpec())
    chosen = max(fitting, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*[None] * chosen, AXIS))


def place_network(network: Network, mesh: Mesh | None, weights: Weights) -> Network:
    """The network with its weights on the mesh: whole on every device, or divided over them."""
    if mesh is None:
        return network
    graph, state = nnx.split(network)
    state = jax.tree.map(lambda v: jax.device_put(v, _parameter(mesh, v.shape, weights)), state)
    return nnx.merge(graph, state)


def available_memory() -> int:
    """Bytes that one device can still hold; for CPUs, what the system says is available."""
    device = jax.local_devices()[0]
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    return _available_on_host() // len(jax.local_devices())


def _available_on_host() -> int:
    """The smaller of what the system has left and what a container may use."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")]
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                limits = [int(line.split()[1]) * 1024]
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            limits.append(int(limit) - int((group / "memory.current").read_text()))
    except OSError:  # no Linux, or no control group: the page count has to do
        pass
    return max(min(limits), 0)


def out_of_memory(error: Exception) -> bool:
    """Whether a device could not allocate what a program needed."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
