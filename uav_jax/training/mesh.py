"""Where arrays live on a mesh of devices: logical axes, and the rules that place them.

Three mesh axes. Examples of a batch are divided over ``data`` and ``fsdp``; rows of frames over
``context`` (the compiler exchanges the borders that convolutions need). Trained parameters, their
average and the optimizer's moments are divided over ``fsdp``; ``MeshConfig.divide`` says when they
are gathered, and whether the frozen ones are divided too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeVar

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp", "context")

RULES: dict[str, tuple[str, ...]] = {
    "batch": ("data", "fsdp"),
    "rows": ("context",),
    "parameter": ("fsdp",),
}
"""Logical axis to mesh axes."""

BATCH_AXES: dict[str, tuple[str | None, ...]] = {
    "target": ("batch", None, "rows", None, None),
    "low_quality": ("batch", None, "rows", None, None),
    "flow": ("batch", "rows", None, None),
    "teacher": ("batch", None, "rows", None, None),
    "drawing": ("batch", None, "rows", None, None),
    "motion": ("batch", None, None, None),
    "phrases": ("batch", None),
    "tokens": ("batch", None),
    "index": ("batch",),
}
"""Logical axes of what a batch holds."""

SMALLEST_DIVIDED = 2**14
"""Values below which an array is kept whole on every device: gathering it would cost more."""

Tree = TypeVar("Tree")


@dataclass(frozen=True, kw_only=True, slots=True)
class MeshConfig:
    """Devices along each axis; ``data`` None takes what the others leave.

    ``divide`` "trained": a step gathers the trained parameters once and its devices keep whole
    copies of the frozen ones (fewest collectives). "everything": the frozen ones are divided over
    ``fsdp`` too, and every layer's parameters are gathered where they are used (least memory).
    """

    data: int | None = None
    fsdp: int = 1
    context: int = 1
    divide: Literal["trained", "everything"] = "trained"

    def shape(self, devices: int) -> tuple[int, int, int]:
        """Sizes of ``AXES`` over a number of devices; ``ValueError`` if they do not fit."""
        others = self.fsdp * self.context
        data = devices // max(others, 1) if self.data is None else self.data
        if min(data, self.fsdp, self.context) < 1 or data * others != devices:
            raise ValueError(
                f"mesh data={self.data or 'rest'} x fsdp={self.fsdp} x context={self.context} "
                f"does not fit {devices} device(s); their product must be that number"
            )
        return data, self.fsdp, self.context

    def make(self, devices: Sequence[jax.Device] | None = None) -> Mesh:
        """The mesh over ``devices`` (all there are); ``ValueError`` if they do not fit."""
        devices = jax.devices() if devices is None else devices
        automatic = (AxisType.Auto,) * len(AXES)
        return jax.make_mesh(
            self.shape(len(devices)), AXES, axis_types=automatic, devices=list(devices)
        )

    def abstract(self, devices: int) -> AbstractMesh:
        """The mesh of that many devices that need not exist."""
        return AbstractMesh(self.shape(devices), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def batch_ways(mesh: Mesh | AbstractMesh) -> int:
    """Into how many parts a batch is divided."""
    return prod(mesh.shape[axis] for axis in RULES["batch"])


def replicated(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_shardings(
    mesh: Mesh | AbstractMesh, names: Mapping[str, object]
) -> dict[str, NamedSharding]:
    """The sharding of every array of a batch, by name."""

    def spec(axes: tuple[str | None, ...]) -> PartitionSpec:
        return PartitionSpec(*(RULES[axis] if axis else None for axis in axes))

    return {name: NamedSharding(mesh, spec(BATCH_AXES[name])) for name in names}


def parameter_sharding(mesh: Mesh | AbstractMesh, shape: tuple[int, ...]) -> NamedSharding:
    """Divides the longest axis that divides evenly over ``fsdp``; small arrays stay whole."""
    ways = prod(mesh.shape[axis] for axis in RULES["parameter"])
    fitting = [axis for axis, size in enumerate(shape) if size % ways == 0]
    if ways == 1 or prod(shape) < SMALLEST_DIVIDED or not fitting:
        return replicated(mesh)
    chosen = max(fitting, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*[None] * chosen, RULES["parameter"]))


def parameter_shardings(mesh: Mesh | AbstractMesh, tree: Tree) -> Tree:
    """``parameter_sharding`` of every array of a tree (a train state, frozen parameters)."""
    return jax.tree.map(lambda leaf: parameter_sharding(mesh, leaf.shape), tree)


def gathered_shardings(mesh: Mesh | AbstractMesh, config: MeshConfig, tree: Tree) -> Tree:
    """The sharding in which the loss meets every array: frozen, trained, and its gradient."""
    if config.divide == "everything":
        return parameter_shardings(mesh, tree)
    return jax.tree.map(lambda _: replicated(mesh), tree)


def place(tree: Tree, shardings: Tree) -> Tree:
    """Puts a tree that every process holds whole onto the mesh of ``shardings``."""

    def put(leaf, sharding: NamedSharding):
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        values = np.asarray(leaf)
        return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

    return jax.tree.map(put, tree, shardings)


def place_batch(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """The global batch of which every process holds its own examples."""
    shardings = batch_shardings(mesh, batch)
    return {
        name: jax.make_array_from_process_local_data(shardings[name], value)
        for name, value in batch.items()
    }


def gathered(mesh: Mesh, tree: Tree) -> Tree:
    """A copy of the tree that is whole on every device, for writing to a file."""
    return jax.jit(lambda leaves: leaves, out_shardings=replicated(mesh))(tree)
