"""The one engine that applies a weight table, in either direction, or says all that is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx

from uav_jax.layers.embedding import Constant
from uav_jax.weights.rules import Rule, WeightTable

MAX_LISTED = 20


class WeightError(ValueError):
    """A checkpoint does not fit a network; the message lists every tensor that is wrong."""


@dataclass(frozen=True, slots=True)
class LazyTensor:
    """A tensor in a file: what it is, and how to read it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


def parameter_shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    """Our dotted name -> shape of every variable of a (possibly abstract) network."""
    return {name: tuple(value.shape) for name, value in flat_state(model).items()}


def flat_state(model: nnx.Module) -> dict[str, nnx.Variable]:
    """Our dotted name -> variable."""
    state = nnx.state(model, (nnx.Param, nnx.BatchStat, Constant))
    return {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(state)}


def match(
    table: WeightTable, names: list[str], targets: Mapping[str, tuple[int, ...]], network: str
) -> dict[str, tuple[str, Rule]]:
    """Published name -> (our name, rule) for every parameter.

    Raises ``WeightError`` unless every published name matches exactly one rule or is derived, and
    every target is filled exactly once.
    """
    problems: list[str] = []
    matched: dict[str, tuple[str, Rule]] = {}
    filled: dict[str, str] = {}
    for name in names:
        if any(d.matches(name) for d in table.derived):
            continue
        hits = [(t, r) for r in table.rules if (t := r.target_of(name)) and t in targets]
        if not hits:
            problems.append(f"unexpected tensor {name}")
        elif len(hits) > 1:
            problems.append(f"{name} matches {len(hits)} rules: {[r.source for _, r in hits]}")
        elif hits[0][0] in filled:
            problems.append(f"{name} and {filled[hits[0][0]]} both fill {hits[0][0]}")
        else:
            matched[name] = hits[0]
            filled[hits[0][0]] = name
    for target in targets:
        if target not in filled:
            sources = [s for rule in table.rules if (s := rule.source_of(target))]
            problems.append(f"missing tensor {sources[0] if sources else f'for {target}'}")
    raise_if(problems, network)
    return matched


def to_ours(
    table: WeightTable,
    source: Mapping[str, LazyTensor],
    targets: Mapping[str, tuple[int, ...]],
    network: str,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Reads published tensors into our names and layouts, keeping their dtype.

    Returns (parameters, extras): extras are derived tensors whose value in the file differs from
    what we would write, kept so that writing back loses nothing. Raises ``WeightError``.
    """
    matched = match(table, list(source), targets, network)
    problems = misshapen({n: t.shape for n, t in source.items()}, table, targets)
    raise_if(problems, network)
    parameters = {
        target: rule.transform.to_ours(source[name].read())
        for name, (target, rule) in matched.items()
    }
    extras: dict[str, np.ndarray] = {}
    written = to_published(table, parameters)
    for name in source:
        kind = next((d for d in table.derived if d.matches(name)), None)
        if kind is None:
            continue
        value = source[name].read()
        if not _identical(value, written[name]):
            if kind.strict:
                problems.append(f"{name} differs from the tensor that it should repeat")
            extras[name] = value
    raise_if(problems, network)
    return parameters, extras


def misshapen(
    shapes: Mapping[str, tuple[int, ...]],
    table: WeightTable,
    targets: Mapping[str, tuple[int, ...]],
) -> list[str]:
    """What is wrong with the shapes of published tensors, derived ones included.

    Args:
        shapes: published name -> shape in the file.
        table: the network's weight table.
        targets: our name -> shape of every variable of the network.

    Returns:
        One line for each tensor that the network does not have or has in another shape.
    """
    nothing = {name: np.broadcast_to(np.int8(0), shape) for name, shape in targets.items()}
    expected = {name: value.shape for name, value in to_published(table, nothing).items()}
    problems = [f"unexpected tensor {name}" for name in shapes if name not in expected]
    for name, shape in shapes.items():
        scalar = expected.get(name) == () and shape == (1,)  # as our first releases wrote them
        if name in expected and shape != expected[name] and not scalar:
            problems.append(f"{name} has shape {shape}, expected {expected[name]}")
    return problems


def to_published(
    table: WeightTable,
    parameters: Mapping[str, np.ndarray],
    extras: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Our parameters under published names and layouts, derived tensors included (views)."""
    published: dict[str, np.ndarray] = {}
    for target, value in parameters.items():
        hits = [(s, rule) for rule in table.rules if (s := rule.source_of(target))]
        if len(hits) != 1:
            raise WeightError(f"{target} matches {len(hits)} rules, expected exactly one")
        name, rule = hits[0]
        published[name] = rule.transform.to_published(value)
    for kind in table.derived:
        for target in parameters:
            if name := kind.source_of(target):
                published[name] = kind.value(published, name)
    return published | dict(extras or {})


def fill(model: nnx.Module, parameters: dict[str, np.ndarray], network: str) -> nnx.Module:
    """An abstract network with every variable set from ``parameters``, which is emptied.

    Values are cast, on the host, to the dtype that the network stores them in, and let go one by
    one: of a mapped file no more than a tensor is held beside the network. Raises
    ``WeightError`` when names or shapes differ.
    """
    variables = flat_state(model)
    problems = [f"missing parameter {name}" for name in variables if name not in parameters]
    problems += [f"unexpected parameter {name}" for name in parameters if name not in variables]
    for name, variable in variables.items():
        if name in parameters and tuple(parameters[name].shape) != tuple(variable.shape):
            problems.append(
                f"{name} has shape {parameters[name].shape}, expected {tuple(variable.shape)}"
            )
    raise_if(problems, network)
    graph, state = nnx.split(model)

    def value(path, leaf):
        name = ".".join(map(str, path))
        return leaf.replace(jax.device_put(parameters.pop(name).astype(leaf.dtype, copy=False)))

    return nnx.merge(graph, nnx.map_state(value, state))


def parameters_of(model: nnx.Module) -> dict[str, np.ndarray]:
    """Our dotted name -> value, on the host."""
    return {name: np.asarray(jax.device_get(v[...])) for name, v in flat_state(model).items()}


def _identical(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def raise_if(problems: list[str], network: str) -> None:
    """Raises ``WeightError`` with the first of some problems and their number, if there are any."""
    if problems:
        listed = "; ".join(problems[:MAX_LISTED])
        more = f"; and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
        raise WeightError(f"{network}: {len(problems)} tensors do not fit: {listed}{more}")
