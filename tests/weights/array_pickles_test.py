"""Pickles of arrays: numbers, read as they are."""

import pickle

import numpy as np
import pytest

from tests.weights import hostile as h
from uav_jax.weights.array_pickles import read_arrays
from uav_jax.weights.pickles import UnsafePickleError


def array(kind="f4", order="<", shape=(2,), data=bytes(8), fortran=b"\x89"):
    dtype = h.name("numpy", "dtype") + h.group(h.text(kind), b"\x89", b"\x88") + b"R"
    minus = b"J\xff\xff\xff\xff"
    dtype += h.group(h.number(3), h.text(order), b"NNN", minus, minus, h.number(0)) + b"b"
    made = h.name("numpy.core.multiarray", "_reconstruct")
    made += h.group(h.name("numpy", "ndarray"), h.numbers((0,)), b"C\1b") + b"R"
    state = (h.number(1), h.numbers(shape), dtype, fortran, b"C" + bytes([len(data)]) + data)
    return made + h.group(*state) + b"b"


def read(tmp_path, entry):
    path = tmp_path / "x.ckpt"
    path.write_bytes(b"\x80\x03}" + h.text("w") + entry + b"s.")
    return read_arrays(path)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_arrays_that_numpy_pickled_are_read_bit_for_bit(kind, tmp_path):
    value = np.random.RandomState(0).standard_normal((2, 3)).astype(kind)
    text = pickle.dumps({"a": {"w": value}}, 3).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "x").write_bytes(text)
    again = read_arrays(tmp_path / "x")["a"]["w"]
    assert again.dtype == value.dtype and again.tobytes() == value.tobytes()
    assert not again.flags.writeable


HOSTILE = {
    "pointers to objects": (array("O8"), "dtype 'O8'; expected f2, f4, f8"),
    "text": (array("U2"), "dtype 'U2'"),
    "records": (array("V8"), "dtype 'V8'"),
    "a dtype that becomes another": (
        h.name("numpy", "dtype")
        + h.group(h.text("f8"), b"\x89", b"\x88")
        + b"R"
        + h.group(h.number(3), h.text("|"), b"NNN", h.number(8), h.number(1), h.number(63))
        + b"b",
        "byte order",
    ),
    "big-endian numbers": (array(order=">"), "byte order"),
    "a shape beyond the bytes": (array(shape=(2**40,)), "has 8 bytes"),
    "a negative shape": (array(shape=(-2,)), "expected counts"),
    "columns first": (array(fortran=b"\x88"), "C order"),
    "another function": (h.name("numpy.core.multiarray", "scalar") + b")R", "scalar, which is not"),
    "a call of the array type": (
        h.name("numpy", "ndarray") + h.numbers((9,)) + b"R",
        "calls a str",
    ),
    "an array that is never filled": (
        h.name("numpy.core.multiarray", "_reconstruct") + h.group(h.numbers((0,))) + b"R",
        "made of something else",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_anything_but_numbers_is_refused_in_one_line(case, tmp_path):
    entry, message = HOSTILE[case]
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, entry)
    assert len(str(error.value).splitlines()) == 1


def test_what_would_run_code_is_refused_by_type(tmp_path):
    with pytest.raises(UnsafePickleError, match=r"os\.system.*nothing was executed"):
        read(tmp_path, h.name("os", "system") + h.group(h.text("true")) + b"R")


def test_shared_parts_are_visited_once(tmp_path):
    levels = b"}q\0" + h.text("w") + array() + b"s"
    for level in range(1, 30):
        put, get = b"q" + bytes([level]), b"h" + bytes([level - 1])
        levels += b"}" + put + b"(" + b"".join(h.text(k) + get for k in "abcd") + b"u"
    tail = b"".join(b"q\x7f" for _ in ())
    path = tmp_path / "x"
    path.write_bytes(b"\x80\x03](" + levels + tail + b"e.")
    assert len(read_arrays(path)) == 30
