"""Safetensors files: the header is checked here before the library maps the file."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from uav_jax.runtime.json_files import parse_object
from uav_jax.weights.engine import LazyTensor

MAX_HEADER = 4 << 20
"""Bytes of a header; the largest released network's takes 0.3 MB."""
MAX_DIMENSIONS = 8
MAX_SIZE = 1 << 40
MAX_NAME = 512
"""Characters of a tensor's name."""

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "U8": "uint8",
    "BOOL": "bool",
}


def read_safetensors(path: Path) -> dict[str, LazyTensor]:
    """The named tensors of a ``.safetensors`` file, read when asked for.

    Raises:
        ValueError: for a file that is damaged, oversized in its header, or holds tensors that are
            not made of plain numbers, overlap or do not fill the file.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no regular file")
    try:
        kinds = _checked_header(path)
        file = safe_open(path, "numpy")  # mapped for as long as a tensor may be asked for
    except Exception as error:  # the library's own exception type is not exported
        raise ValueError(f"{path} is no readable safetensors file: {error}") from None
    return {
        name: LazyTensor(shape, dtype, partial(file.get_tensor, name))
        for name, (shape, dtype) in kinds.items()
    }


def _checked_header(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Name -> (shape, dtype) of tensors that lie one behind the other up to the file's end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or length > min(MAX_HEADER, size - 8):
            raise ValueError(
                f"a header of {length} bytes in a file of {size}; up to {MAX_HEADER} are accepted"
            )
        header = parse_object(file.read(length), "its header")
    header.pop("__metadata__", None)
    found: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    spans = []
    for name, entry in header.items():
        if len(name) > MAX_NAME or not name.isprintable():
            raise ValueError(f"a tensor is named {name!r:.80}; expected printable names")
        try:
            found[name], span = _entry(entry)
        except ValueError as error:
            raise ValueError(f"tensor {name}: {error}") from None
        spans.append(span)
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise ValueError(f"tensors overlap or leave a gap at byte {first} of the data")
        end = last
    if 8 + length + end != size:
        raise ValueError(f"it is truncated: {size} bytes, its tensors end at {8 + length + end}")
    return found


def _entry(entry: Any) -> tuple[tuple[tuple[int, ...], np.dtype], tuple[int, int]]:
    """((shape, dtype), (first byte, last byte)) of a tensor's description."""
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(first), int(last)]}:
            pass
        case _:
            raise ValueError("no dtype, shape and data_offsets")
    if kind not in _DTYPES:
        raise ValueError(f"dtype {kind!r:.40}; expected {', '.join(_DTYPES)}")
    if len(shape) > MAX_DIMENSIONS or any(
        type(n) is not int or not 0 <= n <= MAX_SIZE for n in shape
    ):
        raise ValueError(f"shape {shape!s:.80}; expected up to {MAX_DIMENSIONS} counts")
    dtype = np.dtype(_DTYPES[kind])
    if first < 0 or last - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"bytes {first}..{last} do not hold {shape!s:.80} of {kind}")
    return (tuple(shape), dtype), (first, last)
