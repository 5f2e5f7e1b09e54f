"""PyTorch weight files without PyTorch: the zip and the legacy format, read lazily; zip written.

A state dict is a pickle whose tensors refer to storages by persistent id. The pickle is read by
``pickles``, which runs nothing, and storages are read from the file only when asked for. No tensor
reaches beyond its storage, no storage beyond the file, and together they hold hardly more than it.
"""

import io
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from uav_jax.weights.engine import LazyTensor
from uav_jax.weights.pickles import (
    ORDERED_DICT,
    Constructor,
    PickleFormatError,
    UnsafePickleError,
    read_pickle,
)

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

MAX_DIMENSIONS = 8
MAX_SIZE = 1 << 40
"""Of a dimension or a stride: its bytes fit into 64 bits."""
MAX_NAME = 512
"""Characters of a tensor's name."""
MAX_READ = 16 << 20
"""Bytes of a zip file's directory, and of the pickle in it."""
SHARED = 2
"""A file's tensors hold at most so many times its bytes: some share a storage."""
_ENCRYPTED = 0x41  # bits of an entry's flags

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    OSError,
    UnicodeDecodeError,
    struct.error,
)
"""What ``zipfile`` raises for a directory that makes no sense."""

_STORAGE_DTYPES = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
_STORAGE_OF = {dtype: name for name, dtype in _STORAGE_DTYPES.items()}


class TorchFileError(ValueError):
    """The file is no readable PyTorch state dict."""


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: np.dtype
    elements: int
    read: Callable[[], np.ndarray]


def _sizes(values: Any, what: str) -> tuple[int, ...]:
    """The numbers of a shape or of strides."""
    if type(values) not in (tuple, list) or len(values) > MAX_DIMENSIONS:
        raise TorchFileError(f"a tensor's {what} is no tuple of up to {MAX_DIMENSIONS} numbers")
    if any(type(n) is not int or not 0 <= n <= MAX_SIZE for n in values):
        raise TorchFileError(
            f"a tensor has {what} {tuple(values)!s:.80}; expected numbers in 0..{MAX_SIZE}"
        )
    return tuple(values)


def _size(args: tuple) -> tuple[int, ...]:
    return _sizes(args[0] if len(args) == 1 else None, "size")


def _rebuild_tensor(args: tuple) -> LazyTensor:
    match args:
        case (_Storage() as storage, int() as offset, size, steps, *_):
            shape, strides = _sizes(size, "shape"), _sizes(steps, "strides")
        case _:
            raise TorchFileError("a tensor refers to something that is no storage")
    if len(shape) != len(strides):
        raise TorchFileError(f"a tensor of shape {shape} has strides {strides}; expected as many")
    extent = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    extent = 0 if 0 in shape else extent
    if offset < 0 or offset + extent > storage.elements:
        raise TorchFileError(
            f"a tensor of shape {shape}, strides {strides} and offset {offset} reaches beyond its "
            f"storage of {storage.elements} values"
        )
    if math.prod(shape) > storage.elements:
        raise TorchFileError(
            f"a tensor of shape {shape} repeats the {storage.elements} values of its storage"
        )

    def read() -> np.ndarray:
        flat = storage.read()[offset:]
        if flat.ndim != 1 or flat.dtype != storage.dtype or flat.size < extent:
            raise TorchFileError(f"a storage gives {flat.size} values where {extent} are asked for")
        steps = tuple(s * storage.dtype.itemsize for s in strides)
        return np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)

    return LazyTensor(shape, storage.dtype, read)


def _rebuild_parameter(args: tuple) -> LazyTensor:
    match args:
        case (LazyTensor() as tensor, *_):
            return tensor
    raise TorchFileError("a parameter is made of something that is no tensor")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): ORDERED_DICT,
    ("torch", "Size"): Constructor("torch.Size", _size),
    **{
        ("torch._utils", name): Constructor(name, build)
        for name, build in (
            ("_rebuild_tensor", _rebuild_tensor),
            ("_rebuild_tensor_v2", _rebuild_tensor),
            ("_rebuild_parameter", _rebuild_parameter),
        )
    },
    **{("torch", name): dtype for name, dtype in _STORAGE_DTYPES.items()},
}


def _storage_fields(pid: Any) -> tuple[np.dtype, str, int]:
    """(dtype, key, number of values) of a persistent id."""
    match pid:
        case ("storage", np.dtype() as dtype, str() as key, _, int() as elements, *view):
            if elements < 0:
                raise TorchFileError(f"storage {key!r} has {elements} values; expected a count")
            if view not in ([], [None]):
                raise TorchFileError(f"storage {key!r} is a view of another; that is not supported")
            return dtype, key, elements
    raise TorchFileError("the pickle refers to a persistent object that is no storage")


def _named_tensors(value: Any) -> dict[str, LazyTensor]:
    if isinstance(value, dict) and set(value) == {"state_dict"}:
        value = value["state_dict"]
    if not isinstance(value, dict):
        raise TorchFileError(f"it holds a {type(value).__name__}, not a state dict")
    for name, tensor in value.items():
        if len(name) > MAX_NAME or not name.isprintable():
            raise TorchFileError(
                f"it holds a name of {len(name)} characters, {name!r:.80}; expected up to "
                f"{MAX_NAME} that can be printed"
            )
        if not isinstance(tensor, LazyTensor):
            raise TorchFileError(
                f"it holds entries that are no named tensors: {name} is a {type(tensor).__name__}"
            )
    return dict(value)


class _BoundedReads(io.BufferedReader):
    """A file of which a zip's directory, read in one piece, can take no more than ``MAX_READ``."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            here = self.tell()
            size = self.seek(0, io.SEEK_END) - here
            self.seek(here)
        if size > MAX_READ:
            raise TorchFileError(f"its directory has {size} bytes; up to {MAX_READ} are accepted")
        return super().read(size)


class _ZipFile:
    """The entries of a zip file, of which each lies in the file as it is."""

    def __init__(self, path: Path):
        self._path, self._length = path, path.stat().st_size
        try:
            with _BoundedReads(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        except _ZIP_ERRORS as error:
            raise TorchFileError(f"damaged or truncated: {error}") from None
        self.entries = {entry.filename: entry for entry in entries}
        if len(self.entries) != len(entries):
            raise TorchFileError("two of its zip entries have the same name")

    def locate(self, name: str) -> tuple[int, int]:
        """(position, length) of an entry's bytes in the file."""
        entry = self.entries[name]
        if entry.flag_bits & _ENCRYPTED:
            raise TorchFileError(f"its zip entry {name!r} is encrypted; expected a plain one")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise TorchFileError(
                f"its zip entry {name!r} is compressed; expected a stored one, as torch.save writes"
            )
        if not 0 <= entry.header_offset < self._length:
            raise TorchFileError(f"its zip entry {name!r} begins outside of the file")
        with self._path.open("rb") as file:
            file.seek(entry.header_offset)
            header = file.read(30)
        if len(header) != 30 or header[:4] != b"PK\3\4":
            raise TorchFileError(f"its zip entry {name!r} is truncated")
        start = entry.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
        if start + entry.file_size > self._length:
            raise TorchFileError(f"its zip entry {name!r} is truncated")
        return start, entry.file_size

    def read(self, name: str) -> bytes:
        """A small entry."""
        start, length = self.locate(name)
        if length > MAX_READ:
            raise TorchFileError(
                f"its zip entry {name!r} has {length} bytes; up to {MAX_READ} are accepted"
            )
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(length)


def _mapped(path: Path, dtype: np.dtype, start: int, elements: int) -> np.ndarray:
    return np.memmap(path, dtype, "r", start, (elements,)) if elements else np.empty(0, dtype)


def _read_zip(path: Path) -> Any:
    archive = _ZipFile(path)
    names = archive.entries
    pickles = [name for name in names if name.endswith("/data.pkl") or name == "data.pkl"]
    if len(pickles) != 1:
        raise TorchFileError("it is a zip file without one data.pkl")
    root = pickles[0][: -len("data.pkl")]
    if root + "byteorder" in names and archive.read(root + "byteorder") != b"little":
        raise TorchFileError("it was written on a big-endian machine")

    def storage(pid: Any) -> _Storage:
        dtype, key, elements = _storage_fields(pid)
        name = f"{root}data/{key}"
        if name not in names:
            raise TorchFileError(f"it lacks the data of storage {key!r}")
        start, length = archive.locate(name)
        if length < elements * dtype.itemsize:
            raise TorchFileError(
                f"storage {key!r} has {length} bytes; its {elements} values need "
                f"{elements * dtype.itemsize}"
            )
        return _Storage(dtype, elements, lambda: _mapped(path, dtype, start, elements))

    return read_pickle(io.BytesIO(archive.read(pickles[0])), _ALLOWED, persistent=storage)


def _read_legacy(path: Path) -> Any:
    starts: dict[str, int] = {}
    sizes: dict[str, tuple[np.dtype, int]] = {}

    def storage(pid: Any) -> _Storage:
        dtype, key, elements = _storage_fields(pid)
        if sizes.setdefault(key, (dtype, elements)) != (dtype, elements):
            raise TorchFileError(f"storage {key!r} has two sizes")
        return _Storage(dtype, elements, lambda: _mapped(path, dtype, starts[key], elements))

    with path.open("rb") as file:
        if file.peek(1)[:1] != b"\x80":
            raise TorchFileError("it is neither a zip file nor a pickle")
        for expected in (_LEGACY_MAGIC, _PROTOCOL):
            if read_pickle(file, {}) != expected:
                raise TorchFileError("it is no PyTorch file")
        read_pickle(file, {})  # the writer's endianness and type sizes
        value = read_pickle(file, _ALLOWED, persistent=storage)
        keys, length = read_pickle(file, {}), path.stat().st_size
        if type(keys) is not list or len(keys) != len(sizes) or any(k not in sizes for k in keys):
            raise TorchFileError(f"it does not list the {len(sizes)} storages that it refers to")
        for key in keys:
            dtype, elements = sizes[key]
            stored = int.from_bytes(file.read(8), "little", signed=True)
            starts[key] = file.tell()
            end = starts[key] + stored * dtype.itemsize
            if stored < elements or end > length:
                raise TorchFileError(f"it is truncated in storage {key!r}")
            file.seek(end)
    if len(starts) != len(sizes):
        raise TorchFileError(f"it does not list the {len(sizes)} storages that it refers to")
    return value


def read_torch(path: str | Path) -> dict[str, LazyTensor]:
    """The named tensors of a ``.bin`` or ``.pth`` file, nothing read yet but the names.

    Raises:
        TorchFileError: for a damaged, foreign or oversized file.
        UnsafePickleError: for one that names anything but tensors; nothing in it is executed.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise TorchFileError("it is no regular file")
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK" or zipfile.is_zipfile(path)
        tensors = _named_tensors((_read_zip if zipped else _read_legacy)(path))
        total = sum(math.prod(t.shape) * t.dtype.itemsize for t in tensors.values())
        if total > SHARED * path.stat().st_size:
            raise TorchFileError(
                f"its tensors hold {total} bytes, more than {SHARED} times the file's"
            )
        return tensors
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{path}: {error}") from None
    except (TorchFileError, PickleFormatError) as error:
        raise TorchFileError(f"{path} is no readable PyTorch file: {error}") from None


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _tuple(values: list[bytes]) -> bytes:
    return b"(" + b"".join(values) + b"t"


def _state_dict_pickle(tensors: Mapping[str, np.ndarray]) -> bytes:
    """The protocol-2 opcodes of an ordered dict of contiguous tensors, one storage each."""
    parts = [b"\x80\x02ccollections\nOrderedDict\n)R("]
    for key, (name, value) in enumerate(tensors.items()):
        strides = [int(np.prod(value.shape[i + 1 :])) for i in range(value.ndim)]
        storage = b"ctorch\n" + _STORAGE_OF[value.dtype].encode() + b"\n"
        pid = [_text("storage"), storage, _text(str(key)), _text("cpu"), _int(value.size)]
        fields = [
            _tuple(pid) + b"Q",
            _int(0),
            _tuple([_int(n) for n in value.shape]),
            _tuple([_int(s) for s in strides]),
            b"\x89",
            b"ccollections\nOrderedDict\n)R",
        ]
        parts.append(_text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + _tuple(fields) + b"R")
    return b"".join([*parts, b"u."])


def write_torch(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict that ``torch.load`` reads, in PyTorch's zip format."""
    tensors = {name: np.ascontiguousarray(v).reshape(v.shape) for name, v in tensors.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _state_dict_pickle(tensors))
        archive.writestr("archive/byteorder", b"little")
        for key, value in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", value.tobytes())
        archive.writestr("archive/version", b"3\n")
