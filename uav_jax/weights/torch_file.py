"""PyTorch weight files without PyTorch: the zip and the legacy format, read lazily; zip written.

A state dict is a pickle whose tensors refer to storages by persistent id. The pickle is read with
an allow-list (see ``pickles``), and storages are read from the file only when asked for.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from uav_jax.weights.engine import LazyTensor
from uav_jax.weights.pickles import AllowListUnpickler

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

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


def _rebuild_tensor(storage, offset, shape, strides, *_) -> LazyTensor:
    if not isinstance(storage, _Storage):
        raise TorchFileError("a tensor refers to something that is no storage")
    shape, strides = tuple(map(int, shape)), tuple(map(int, strides))
    extent = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    valid = offset >= 0 and all(n >= 0 and s >= 0 for n, s in zip(shape, strides, strict=True))
    if not valid or (0 not in shape and extent > storage.elements):
        raise TorchFileError(
            f"a tensor of shape {shape} reaches beyond its storage of {storage.elements} values"
        )

    def read() -> np.ndarray:
        flat = storage.read()[offset:]
        steps = tuple(s * storage.dtype.itemsize for s in strides)
        return np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)

    return LazyTensor(shape, storage.dtype, read)


def _rebuild_parameter(tensor: LazyTensor, *_) -> LazyTensor:
    return tensor


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): dtype for name, dtype in _STORAGE_DTYPES.items()},
}


class _StateDictUnpickler(AllowListUnpickler):
    def __init__(self, file: BinaryIO, storage: Callable[[tuple], _Storage]):
        super().__init__(file, _ALLOWED)
        self._storage = storage

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", np.dtype(), _, _, int(), *_):
                return self._storage(tuple(pid))
        raise TorchFileError(f"unknown persistent object {pid!r}")


def _named_tensors(value: Any, path: Path) -> dict[str, LazyTensor]:
    if isinstance(value, dict) and set(value) == {"state_dict"}:
        value = value["state_dict"]
    if not isinstance(value, dict):
        raise TorchFileError(f"{path} holds a {type(value).__name__}, not a state dict")
    wrong = [k for k, v in value.items() if not (isinstance(k, str) and isinstance(v, LazyTensor))]
    if wrong:
        raise TorchFileError(f"{path} holds entries that are no named tensors: {wrong[:5]}")
    return dict(value)


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(30)
    name, extra = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + name + extra


def _read_zip(path: Path) -> dict[str, LazyTensor]:
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in infos if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise TorchFileError(f"{path} is a zip file without one data.pkl")
        root = pickles[0][: -len("data.pkl")]
        order = root + "byteorder"
        if order in infos and archive.read(order) != b"little":
            raise TorchFileError(f"{path} was written on a big-endian machine")

        def storage(pid: tuple) -> _Storage:
            _, dtype, key, _, elements = pid[:5]
            info = infos.get(f"{root}data/{key}")
            if info is None or info.file_size < elements * dtype.itemsize:
                raise TorchFileError(f"{path} lacks the data of storage {key}")

            def read() -> np.ndarray:
                if info.compress_type == zipfile.ZIP_STORED and elements:
                    offset = _data_offset(path, info)
                    return np.memmap(path, dtype, "r", offset, (elements,))
                with zipfile.ZipFile(path) as again:
                    return np.frombuffer(again.read(info), dtype, elements)

            return _Storage(dtype, elements, read)

        with archive.open(pickles[0]) as file:
            value = _StateDictUnpickler(io.BytesIO(file.read()), storage).load()
    return _named_tensors(value, path)


def _read_legacy(path: Path) -> dict[str, LazyTensor]:
    offsets: dict[str, int] = {}
    sizes: dict[str, tuple[np.dtype, int]] = {}

    def storage(pid: tuple) -> _Storage:
        _, dtype, key, _, elements = pid[:5]
        if len(pid) > 5 and pid[5] is not None:
            raise TorchFileError(f"{path} holds storage views, which are not supported")
        sizes[key] = (dtype, elements)

        def read() -> np.ndarray:
            if not elements:
                return np.empty(0, dtype)
            return np.memmap(path, dtype, "r", offsets[key], (elements,))

        return _Storage(dtype, elements, read)

    with path.open("rb") as file:
        for expected in (_LEGACY_MAGIC, _PROTOCOL):
            if AllowListUnpickler(file, {}).load() != expected:
                raise TorchFileError(f"{path} is no PyTorch file")
        AllowListUnpickler(file, {}).load()  # the writer's endianness and type sizes
        value = _StateDictUnpickler(file, storage).load()
        length = path.stat().st_size
        for key in AllowListUnpickler(file, {}).load():
            header = file.read(8)
            if key not in sizes or len(header) != 8:
                raise TorchFileError(f"{path} is truncated")
            dtype, elements = sizes[key]
            (stored,) = struct.unpack("<q", header)
            offsets[key] = file.tell()
            end = file.tell() + stored * dtype.itemsize
            if stored < elements or end > length:
                raise TorchFileError(f"{path} is truncated in storage {key}")
            file.seek(end)
    if missing := sizes.keys() - offsets.keys():
        raise TorchFileError(f"{path} lacks the data of storages {sorted(missing)}")
    return _named_tensors(value, path)


def read_torch(path: str | Path) -> dict[str, LazyTensor]:
    """The named tensors of a ``.bin`` or ``.pth`` file, nothing read yet but the names.

    Raises ``TorchFileError`` for a damaged or foreign file and ``UnsafePickleError`` for one that
    names anything but tensors (both are ``ValueError``); nothing in the file is ever executed.
    """
    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                raise TorchFileError(f"{path} is truncated: a zip file without its directory")
        return _read_legacy(path)
    except TorchFileError:
        raise
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, struct.error) as error:
        raise TorchFileError(f"{path} is damaged or truncated: {error}") from error
    except (IndexError, KeyError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise TorchFileError(f"{path} is no PyTorch state dict: {error}") from error


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
