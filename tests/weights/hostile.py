"""Pickles put together opcode by opcode, and the files that hold them; none of them does harm."""

import struct
import zipfile
from pathlib import Path

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
PROTOCOL = b"\x80\x02M\xe9\x03."
SYSTEM = b"\x80\x02}."


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def group(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def numbers(values) -> bytes:
    return group(*map(number, values))


def storage(elements: int = 4, key: str = "0", kind: str = "FloatStorage", *more: bytes) -> bytes:
    fields = (text("storage"), name("torch", kind), text(key), text("cpu"), number(elements))
    return group(*fields, *more) + b"Q"


def tensor(shape=(4,), strides=(1,), offset: int = 0, of: bytes | None = None) -> bytes:
    fields = (of or storage(), number(offset), numbers(shape), numbers(strides))
    return name("torch._utils", "_rebuild_tensor_v2") + group(*fields) + b"R"


def state_dict(*entries: bytes, key: bytes | None = None) -> bytes:
    """A state dict whose tensors are the entries, or with one entry under another key."""
    keys = [key] if key else [text(f"w{i}") for i in range(len(entries))]
    pairs = b"".join(k + v for k, v in zip(keys, entries, strict=True))
    return b"\x80\x02}(" + pairs + b"u."


def torch_zip(path: Path, pickle: bytes, storages: dict[str, bytes] | None = None) -> Path:
    """A file as ``torch.save`` writes it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle)
        for key, data in ({"0": bytes(16)} if storages is None else storages).items():
            archive.writestr(f"a/data/{key}", data)
    return path


def torch_legacy(path: Path, pickle: bytes, keys: bytes, data: bytes) -> Path:
    """A file as ``torch.save`` wrote it before version 1.6."""
    path.write_bytes(MAGIC + PROTOCOL + SYSTEM + pickle + keys + data)
    return path
