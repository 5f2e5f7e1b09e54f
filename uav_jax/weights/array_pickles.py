"""Pickles of NumPy arrays: floating-point numbers only, which the file's bytes become as they are.

NumPy rebuilds an array from a dtype and a state that the file chooses; a dtype of objects would
make pointers of the file's bytes. Here dtypes are names out of a table and arrays are read by
``numpy.frombuffer``.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uav_jax.weights.pickles import (
    Constructor,
    PickleFormatError,
    PickleLimits,
    UnsafePickleError,
    read_pickle,
)

MAX_BYTES = 256 << 20
"""Bytes of a file; the weights of VGG16 take 59 MB."""
MAX_DIMENSIONS = 8
_KINDS = {"f2": np.dtype("<f2"), "f4": np.dtype("<f4"), "f8": np.dtype("<f8")}


@dataclass(slots=True)
class _Kind:
    """A dtype by its name, whose state says the byte order."""

    dtype: np.dtype


@dataclass(slots=True)
class _Array:
    """An array, which its state fills."""

    value: np.ndarray | None = None


_NDARRAY = "numpy.ndarray"


def _kind(args: tuple) -> _Kind:
    match args:
        case (str() as name, *_) if name in _KINDS:
            return _Kind(_KINDS[name])
    name = args[0] if args else None
    raise UnsafePickleError(
        f"an array of dtype {name!r:.40}; expected {', '.join(_KINDS)}; nothing was executed"
    )


def _empty(args: tuple) -> _Array:
    match args:
        case (kind, (0,), bytes()) if kind is _NDARRAY:
            return _Array()
    raise PickleFormatError("an array is made of something else than numpy.ndarray, (0,), b'b'")


def _set_order(kind: _Kind, state: Any) -> None:
    match state:
        case (int(), "<", None, None, None, *_):
            return
    raise UnsafePickleError("a dtype's state is more than the little-endian byte order")


def _fill(array: _Array, state: Any) -> None:
    match state:
        case (int(), tuple() as shape, _Kind() as kind, False, bytes() as data):
            pass
        case _:
            raise PickleFormatError("an array's state is no shape, dtype and bytes in C order")
    if len(shape) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise PickleFormatError(f"an array has shape {shape!s:.80}; expected counts")
    if len(data) != math.prod(shape) * kind.dtype.itemsize:
        raise PickleFormatError(f"an array of shape {shape!s:.80} has {len(data)} bytes")
    array.value = np.frombuffer(data, kind.dtype).reshape(shape)


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): Constructor("_reconstruct", _empty),
    ("numpy", "dtype"): Constructor("numpy.dtype", _kind),
    ("numpy", "ndarray"): _NDARRAY,
}


def _arrays(value: Any, done: dict[int, Any]) -> Any:
    """The tree with arrays in place of what was built for them; a shared part is visited once."""
    if isinstance(value, dict):
        if id(value) not in done:
            done[id(value)] = {key: _arrays(inner, done) for key, inner in value.items()}
        return done[id(value)]
    return value.value if isinstance(value, _Array) else value


def read_arrays(path: str | Path) -> Any:
    """The nested dicts of arrays that a pickle holds, arrays read-only and without a copy.

    Raises:
        UnsafePickleError: for any other type in it; nothing is executed.
        ValueError: for a file that is too large or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is no regular file")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise ValueError(f"{path} has {size} bytes; up to {MAX_BYTES} are accepted")
    limits = PickleLimits(length=MAX_BYTES, steps=100_000, data=MAX_BYTES)
    with path.open("rb") as file:
        tree = read_pickle(file, _ALLOWED, states={_Kind: _set_order, _Array: _fill}, limits=limits)
    return _arrays(tree, {})
