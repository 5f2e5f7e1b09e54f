"""Compares our activations with a trace of the published PyTorch model, module by module.

    python -m uav_jax.parity RELEASED_DIR TRACE.npz

A trace is an ``.npz`` of one call of one network (docs/parity.md has the recipe that writes it):

* ``network``: ``unet``, ``vae_3d``, ``vae_video`` (their decoders) or ``text_encoder``;
* ``input/<name>``: what it was called with, in PyTorch's layout (``INPUTS``);
* ``output``: what it returned;
* ``<module name>``: what that submodule returned, for as many submodules as wanted.

For every module, in the order in which they run here, the table shows the largest absolute
difference and the largest difference relative to the trace's largest value, in float32, and what
bfloat16 and float16 compute and weights would do to it. Where the two sides fold frames, rows and
columns differently, the layout is found by trying those whose shape fits.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations
from math import prod
from os.path import commonprefix
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from uav_jax.layers.norm import GroupNorm
from uav_jax.weights.engine import parameter_shapes
from uav_jax.weights.model_files import ModelFiles, find_model
from uav_jax.weights.networks import NETWORKS
from uav_jax.weights.rules import WeightTable

TOLERANCE = 2e-5
"""Of the largest value: ten times what float64 and float32 of the published code differ by."""

INPUTS = {
    "unet": ("sample", "low_res", "timestep", "noise_level", "text"),
    "vae_3d": ("latents",),
    "vae_video": ("latents", "low_res", "low_res_weight"),
    "text_encoder": ("input_ids",),
}
"""``input/<name>`` of each network: frames ``(B, C, T, H, W)``, text ``(B, 77, D)``, numbers."""

OUTPUT = "output"
DTYPES = (jnp.float32, jnp.bfloat16, jnp.float16)

Activations = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Row:
    """One module: largest difference, and relative to the trace's largest value by dtype."""

    module: str
    absolute: float
    relative: dict[str, float]


def _last(x: np.ndarray) -> jax.Array:
    return jnp.asarray(np.moveaxis(x, 1, -1))


def call_network(name: str, model, trace: Mapping[str, np.ndarray]) -> jax.Array:
    """The network on the trace's inputs; ``ValueError`` names inputs that are missing."""
    missing = [f"input/{key}" for key in INPUTS[name] if f"input/{key}" not in trace]
    if missing:
        raise ValueError(f"the trace of {name} lacks {', '.join(missing)}")
    given = {key: trace[f"input/{key}"] for key in INPUTS[name]}
    if name == "text_encoder":
        return model(jnp.asarray(given["input_ids"], jnp.int32))
    if name == "unet":
        sample = _last(given["sample"])
        numbers = (jnp.broadcast_to(given[k], sample.shape[:1]) for k in INPUTS[name][2:4])
        return model(sample, _last(given["low_res"]), *numbers, jnp.asarray(given["text"]))
    low_res = _last(given["low_res"]) if "low_res" in given else None
    return model.decode(_last(given["latents"]), low_res, given.get("low_res_weight", 1.0))


def published_modules(model: nnx.Module, table: WeightTable) -> dict[tuple, str]:
    """Path of each of our modules -> the published module with the same parameters."""
    names = {}
    for target in parameter_shapes(model):
        hits = [s for rule in table.rules if (s := rule.source_of(target))]
        names[tuple(target.split("."))] = hits[0].split(".")
    found: dict[tuple, str] = {}
    paths = [tuple(map(str, path)) for path, _ in nnx.iter_modules(model)]
    for path in sorted(paths, key=len, reverse=True):
        below = [name for key, name in names.items() if key[: len(path)] == path]
        if not path or not below:
            continue
        prefix = list(commonprefix([name[:-1] for name in below]))
        while prefix and ".".join(prefix) in found.values():
            prefix.pop()  # a module around a single other one
        if prefix:
            found[path] = ".".join(prefix)
    return found


@contextmanager
def recording(model: nnx.Module, names: Mapping[tuple, str]) -> Iterator[dict[str, jax.Array]]:
    """Inside, calls of the model's modules leave what they return, under published names."""
    known = {
        id(module): names[path]
        for key, module in nnx.iter_modules(model)
        if (path := tuple(map(str, key))) in names
    }
    classes = {type(m) for _, m in nnx.iter_modules(model) if callable(m)}
    originals = {kind: kind.__call__ for kind in classes}  # pyright: ignore
    values: dict[str, jax.Array] = {}

    def wrapped(original: Callable) -> Callable:
        def call(self, *arguments, **keywords):
            result = original(self, *arguments, **keywords)
            if id(self) in known and isinstance(result, jax.Array):
                # The published norm is a module of its own, without the activation behind it.
                bare = isinstance(self, GroupNorm) and keywords.get("activation")
                values[known[id(self)]] = original(self, *arguments) if bare else result
            return result

        return call

    for kind, original in originals.items():
        kind.__call__ = wrapped(original)  # pyright: ignore
    try:
        yield values
    finally:
        for kind, original in originals.items():
            kind.__call__ = original  # pyright: ignore


def activations(files: ModelFiles, trace: Mapping[str, np.ndarray], dtype) -> Activations:
    """What our modules return on the trace's inputs with everything in ``dtype``."""
    name = str(trace["network"])
    graph, state = nnx.split(files.load(name, dtype=dtype, param_dtype=dtype))
    order: list[str] = []

    @jax.jit
    def run(state):
        model = nnx.merge(graph, state)
        with recording(model, published_modules(model, NETWORKS[name].table)) as values:
            values[OUTPUT] = call_network(name, model, trace)
        order.extend(values)
        return values

    results = run(state)
    return {name: np.asarray(results[name], np.float32) for name in order}


def _merges(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether joining neighbouring axes of ``shape`` gives ``target``."""
    sizes = list(shape)
    for wanted in target:
        size = 1
        while sizes and size < wanted:
            size *= sizes.pop(0)
        if size != wanted:
            return False
    return not sizes


def difference(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """Largest absolute difference in the layout that fits best; None where no layout fits."""
    if prod(ours.shape) != prod(theirs.shape):
        return None
    a, b = ours.squeeze(), theirs.squeeze()
    swapped = a.ndim < b.ndim
    a, b = (b, a) if swapped else (a, b)
    candidates = [a.reshape(b.shape)]
    for order in permutations(range(a.ndim)):
        if _merges(tuple(a.shape[i] for i in order), b.shape):
            candidates.append(a.transpose(order).reshape(b.shape))
    return min(float(np.abs(candidate - b).max(initial=0)) for candidate in candidates)


def compare(files: ModelFiles, trace: Mapping[str, np.ndarray]) -> tuple[list[Row], list[str]]:
    """(rows in the order of our computation, traced modules that could not be compared)."""
    ours = {np.dtype(dtype).name: activations(files, trace, dtype) for dtype in DTYPES}
    rows, left = [], []
    traced = [key for key in trace if key != "network" and not key.startswith("input/")]
    full = ours["float32"]
    for module in [name for name in full if name in traced]:
        reference = np.asarray(trace[module], np.float32)
        found = {kind: difference(values[module], reference) for kind, values in ours.items()}
        largest = max(float(np.abs(reference).max(initial=0)), float(np.finfo(np.float32).tiny))
        if any(value is None for value in found.values()):
            left.append(f"{module} {reference.shape}, ours {full[module].shape}")
            continue
        relative = {kind: value / largest for kind, value in found.items() if value is not None}
        rows.append(Row(module, found["float32"] or 0.0, relative))
    left += [f"{name}: no such module here" for name in traced if name not in full]
    return rows, left


def read_trace(path: Path) -> dict[str, np.ndarray]:
    """A trace; ``ValueError`` where the file is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            trace = dict(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no readable .npz: {error}") from error
    if str(trace.get("network")) not in INPUTS:
        raise ValueError(
            f"{path} is a trace of {trace.get('network')}; expected an entry 'network' that is one "
            f"of {', '.join(INPUTS)}"
        )
    return trace


def report(rows: Sequence[Row], left: Sequence[str], tolerance: float, console: Console) -> bool:
    """Prints the table and the first module over tolerance; whether all are within it."""
    table = Table("module", "absolute", *(np.dtype(d).name for d in DTYPES))
    for row in rows:
        over = row.relative["float32"] > tolerance
        values = [f"{row.absolute:.2e}", *(f"{row.relative[np.dtype(d).name]:.2e}" for d in DTYPES)]
        table.add_row(escape(row.module), *values, style="red" if over else None)
    console.print(table)
    for text in left:
        console.print(f"not compared: {text}", markup=False, soft_wrap=True)
    first = next((row for row in rows if row.relative["float32"] > tolerance), None)
    if first is None:
        console.print(f"all {len(rows)} modules within {tolerance:g} of their largest value")
    else:
        console.print(
            f"first over {tolerance:g}: {first.module} ({first.relative['float32']:.2e})",
            markup=False,
            soft_wrap=True,
        )
    return first is None


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, 1 where a module is over tolerance, 2 after a mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m uav_jax.parity", description="Compares us with a trace from PyTorch."
    )
    parser.add_argument("model", help="the released directory, or one that convert.py wrote")
    parser.add_argument("trace", type=Path, help="what docs/parity.md's recipe wrote")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    options = parser.parse_args(arguments)
    try:
        trace = read_trace(options.trace)
        rows, left = compare(find_model(options.model, complete=False), trace)
        if not rows:
            raise ValueError(f"{options.trace} holds no module that could be compared")
    except (ValueError, OSError) as error:
        print(f"parity: {error}", file=sys.stderr)
        return 2
    return 0 if report(rows, left, options.tolerance, Console(width=140)) else 1


if __name__ == "__main__":
    sys.exit(main())
