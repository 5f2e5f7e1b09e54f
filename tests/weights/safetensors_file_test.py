"""Safetensors files: the header is checked before anything is mapped."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from uav_jax.weights.safetensors_file import read_safetensors


def write(path, header, data=bytes(16)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype="F32", shape=(4,), first=0, last=16):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last]}


def test_what_the_library_writes_reads_back_bit_for_bit(tmp_path):
    kinds = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.int32, np.uint8]
    tensors = {f"t.{i}": np.arange(6).reshape(2, 3).astype(k) for i, k in enumerate([*kinds, bool])}
    tensors["scalar"], tensors["empty"] = np.array(3.0), np.zeros((0, 4), np.float32)
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "np"})
    again = read_safetensors(tmp_path / "x.safetensors")
    assert set(again) == set(tensors)
    for name, value in tensors.items():
        assert (again[name].shape, again[name].dtype) == (value.shape, value.dtype)
        assert again[name].read().tobytes() == value.tobytes()


BAD = {
    "nothing": (b"", b"", "header of 0 bytes in a file of 8|is not valid JSON"),
    "a header of 2^60 bytes": (None, (1 << 60).to_bytes(8, "little"), "up to 4194304 are accepted"),
    "a list": ([1], b"", "holds a list; expected a JSON object"),
    "nesting": (b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}", b"", "nests deeper than 16"),
    "no offsets": (
        {"w": {"dtype": "F32", "shape": [4]}},
        bytes(16),
        "no dtype, shape and data_off",
    ),
    "objects": ({"w": entry("O8")}, bytes(16), "dtype 'O8'; expected F64"),
    "a negative size": ({"w": entry(shape=(-4,))}, bytes(16), "shape"),
    "a true size": ({"w": entry(shape=(True,), last=4)}, bytes(4), "shape"),
    "nine dimensions": ({"w": entry(shape=(1,) * 9, last=4)}, bytes(4), "up to 8 counts"),
    "too few bytes": ({"w": entry(shape=(5,))}, bytes(16), "do not hold"),
    "a product beyond 64 bits": ({"w": entry(shape=(2**40, 2**40))}, bytes(16), "do not hold"),
    "offsets beyond the file": ({"w": entry()}, bytes(15), "is truncated"),
    "bytes that nobody claims": ({"w": entry()}, bytes(17), "is truncated"),
    "a gap": ({"w": entry(first=4, last=20)}, bytes(20), "gap at byte 4"),
    "an overlap": ({"v": entry(), "w": entry()}, bytes(16), "overlap"),
    "a name with an escape": ({"\x1b[2J": entry()}, bytes(16), "printable names"),
    "a tensor twice": (b'{"w": {}, "w": {}}', b"", "two values of one name"),
    "an infinite size": (b'{"w": Infinity}', b"", "Infinity is no JSON number"),
}


@pytest.mark.parametrize("case", BAD)
def test_headers_that_do_not_describe_the_file_are_refused_in_one_line(case, tmp_path):
    header, data, message = BAD[case]
    path = tmp_path / "x.safetensors"
    path.write_bytes(data) if header is None else write(path, header, data)
    with pytest.raises(ValueError, match=message) as error:
        read_safetensors(path)
    assert str(path) in str(error.value) and len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 500
