"""ncnn models: the layers of a ``.param`` file with their weights from the ``.bin`` file.

A ``.param`` file is text: a magic number, the numbers of layers and of blobs, then the layers:

    KIND NAME INPUTS OUTPUTS input... output... KEY=VALUE...

A ``.bin`` file holds the weights in the order of the layers. A convolution's kernel (output,
input, row, column) follows a 4-byte tag: 0x01306B47 for float16, padded to a multiple of 4 bytes,
or 0 for float32. Its bias and the slopes of a PReLU are float32 without a tag.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAGIC = "7767517"
FLOAT16_TAG, FLOAT32_TAG = 0x01306B47, 0

Value = int | float | tuple[float, ...]

_PARAMETERS: dict[str, set[int]] = {
    "Input": set(),
    "Split": set(),
    "Concat": set(),
    "PixelShuffle": {0},
    "Interp": {0, 1, 2},
    "BinaryOp": set(),
    "Eltwise": {0, -23301},
    "PReLU": {0},
    "Convolution": {0, 1, 4, 5, 6, 9, -23310},
}
"""The layers that are read, and the keys that each may have.

Of a convolution: 0 output channels, 1 kernel size, 4 padding, 5 whether there is a bias, 6 number
of the kernel's values, 9 and -23310 activation; others (stride, dilation, groups) are refused.
"""


@dataclass(frozen=True, slots=True)
class NcnnLayer:
    """One layer: its kind, blobs and parameters, and its weights by name."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[int, Value]
    weights: Mapping[str, np.ndarray]  # kernel (O, I, kh, kw), bias (O,), slope (C,)


class _Weights:
    """Reads a ``.bin`` file from front to back."""

    def __init__(self, path: Path):
        self._path, self._data, self._at = path, path.read_bytes(), 0

    def take(self, count: int, dtype: np.dtype, layer: str) -> np.ndarray:
        """The next ``count`` values, padded to 4 bytes."""
        size = -(-count * dtype.itemsize // 4) * 4
        left = len(self._data) - self._at
        if size > left:
            raise ValueError(
                f"{self._path}: layer {layer} needs {size} bytes at {self._at}, {left} are left"
            )
        values = np.frombuffer(self._data, dtype, count, self._at)
        self._at += size
        return values

    def tagged(self, count: int, layer: str) -> np.ndarray:
        """The next ``count`` values behind a tag, float16 or float32."""
        tag = int(self.take(1, np.dtype("<u4"), layer)[0])
        if tag not in (FLOAT16_TAG, FLOAT32_TAG):
            raise ValueError(
                f"{self._path}: layer {layer} has the tag {tag:#010x}; expected "
                f"{FLOAT16_TAG:#010x} (float16) or 0 (float32)"
            )
        return self.take(count, np.dtype("<f2" if tag else "<f4"), layer)

    def end(self) -> None:
        """Raises where something is left."""
        if self._at != len(self._data):
            raise ValueError(
                f"{self._path} has {len(self._data)} bytes; its layers take {self._at}"
            )


def _value(text: str) -> int | float:
    return float(text) if "." in text or "e" in text else int(text)


def _parameters(kind: str, fields: list[str], where: str) -> dict[int, Value]:
    """``KEY=VALUE`` fields; keys below -23300 hold an array ``length,value,...``."""
    found: dict[int, Value] = {}
    for field in fields:
        key, _, text = field.partition("=")
        try:
            first, *others = map(_value, text.split(","))
            array = int(key) <= -23300
            if len(others) != (int(first) if array else 0):
                raise ValueError
            found[int(key)] = tuple(map(float, others)) if array else first
        except ValueError:
            raise ValueError(f"{where}: {field!r} is no parameter of a layer") from None
    unknown = set(found) - _PARAMETERS[kind]
    if unknown:
        raise ValueError(
            f"{where}: {kind} has the parameters {sorted(unknown)}; only "
            f"{sorted(_PARAMETERS[kind])} are supported"
        )
    return found


def _layer_line(line: str, where: str) -> tuple[str, str, list[str], list[str], dict[int, Value]]:
    """(kind, name, inputs, outputs, parameters) of a line."""
    kind, name, *rest = line.split()
    if kind not in _PARAMETERS:
        raise ValueError(f"{where}: layer {kind}; expected one of {', '.join(_PARAMETERS)}")
    counts = [int(text) for text in rest[:2] if text.isdigit()]
    blobs = rest[2 : 2 + sum(counts)]
    if len(counts) != 2 or len(blobs) != sum(counts) or any("=" in blob for blob in blobs):
        raise ValueError(f"{where}: expected KIND NAME INPUTS OUTPUTS and that many blobs")
    parameters = _parameters(kind, rest[2 + len(blobs) :], where)
    return kind, name, blobs[: counts[0]], blobs[counts[0] :], parameters


def _integer(parameters: Mapping[int, Value], key: int, default: int | None, where: str) -> int:
    value = parameters.get(key, default)
    if not isinstance(value, int):
        raise ValueError(f"{where}: parameter {key} is {value}; expected an integer")
    return value


def _weights(
    kind: str, parameters: Mapping[int, Value], file: _Weights, where: str
) -> dict[str, np.ndarray]:
    if kind == "PReLU":
        count = _integer(parameters, 0, None, where)
        return {"slope": file.take(count, np.dtype("<f4"), where)}
    if kind != "Convolution":
        return {}
    channels, side, values = (_integer(parameters, key, None, where) for key in (0, 1, 6))
    inputs, remainder = divmod(values, channels * side * side)
    if remainder or not inputs or _integer(parameters, 4, 0, where) != side // 2:
        raise ValueError(
            f"{where}: {values} values and padding {parameters.get(4, 0)} do not make a "
            f"{side}x{side} convolution to {channels} channels that keeps the size"
        )
    weights = {"kernel": file.tagged(values, where).reshape(channels, inputs, side, side)}
    if _integer(parameters, 5, 0, where):
        weights["bias"] = file.take(channels, np.dtype("<f4"), where)
    return weights


def read_ncnn(param: Path, weights: Path) -> list[NcnnLayer]:
    """Reads an ncnn model.

    Args:
        param: The ``.param`` file.
        weights: The ``.bin`` file that belongs to it.

    Returns:
        The layers in their order, weights in the type that they are stored in.

    Raises:
        ValueError: A line, a tag, a size or a layer is none that is described above, or one of the
            files is longer or shorter than the other says.
    """
    try:
        magic, counts, *lines = param.read_text().splitlines()
        layer_count, blob_count = map(int, counts.split())
    except (ValueError, UnicodeDecodeError):
        raise ValueError(
            f"{param} is no ncnn .param file: expected {MAGIC} and two counts"
        ) from None
    if magic != MAGIC or len(lines) != layer_count:
        raise ValueError(
            f"{param} starts with {magic!r} and has {len(lines)} layers; expected {MAGIC} and "
            f"{layer_count} layers"
        )
    file, layers, blobs = _Weights(weights), [], set()
    for number, line in enumerate(lines, 3):
        where = f"{param}, line {number}"
        kind, name, inputs, outputs, parameters = _layer_line(line, where)
        unknown = [blob for blob in inputs if blob not in blobs]
        if unknown or blobs & set(outputs):
            raise ValueError(f"{where}: {unknown or outputs} are not made once, before their use")
        blobs |= set(outputs)
        values = _weights(kind, parameters, file, f"{number - 3} ({name})")
        layers.append(NcnnLayer(kind, name, tuple(inputs), tuple(outputs), parameters, values))
    if len(blobs) != blob_count:
        raise ValueError(f"{param} has {len(blobs)} blobs; expected {blob_count}")
    file.end()
    return layers
