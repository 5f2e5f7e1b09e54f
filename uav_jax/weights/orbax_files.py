"""Orbax checkpoints of ``convert.py``: shapes are compared before a value is read."""

import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from uav_jax.weights.engine import WeightError, raise_if


def read_orbax(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The parameters of one network.

    Args:
        path: the checkpoint's folder.
        shapes: our name -> shape of every variable of the network.

    Returns:
        Our name -> value, in the dtype of the checkpoint.

    Raises:
        ValueError: where the checkpoint cannot be read or holds other names or shapes.
    """
    path = path.resolve()
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            tree = checkpointer.metadata(path).item_metadata.tree
            raise_if(_problems(dict(tree), shapes), str(path))
            values = checkpointer.restore(path)
    except WeightError:
        raise
    except Exception as error:  # TensorStore and Orbax raise types of their own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{path} is no readable checkpoint: {reason[0]:.200}") from None
    return {name: np.asarray(value) for name, value in values.items()}


def _numeric(dtype: Any) -> bool:
    return dtype is not None and (
        jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)
    )


def _problems(tree: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> list[str]:
    problems = [f"unexpected parameter {name}" for name in tree if name not in shapes]
    problems += [f"missing parameter {name}" for name in shapes if name not in tree]
    for name, found in tree.items():
        shape = getattr(found, "shape", None)
        chunk = getattr(getattr(found, "storage", None), "chunk_shape", None) or ()
        if name in shapes and shape != shapes[name]:
            problems.append(f"{name} has shape {shape}, expected {shapes[name]}")
        elif name in shapes and math.prod(chunk) > max(1, math.prod(shapes[name])):
            problems.append(f"{name} is stored in pieces of {chunk}, larger than it is")
        elif name in shapes and not _numeric(getattr(found, "dtype", None)):
            problems.append(f"{name} is no array of numbers")
    return problems
