"""PyTorch files: read right, written right, and never executed."""

import os
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from tests.parity import golden as g
from tests.weights import hostile as h
from uav_jax.weights.torch_file import read_torch, write_torch

FILES = g.DIRECTORY / "torch_files"


@pytest.fixture
def expected():
    with np.load(FILES / "expected.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", ["sample_zip.bin", "sample_legacy.pth"])
def test_both_formats_give_every_tensor_bit_for_bit(name, expected):
    tensors = read_torch(FILES / name)
    assert set(tensors) == set(expected)
    for key, value in expected.items():
        read = tensors[key].read()
        assert read.shape == value.shape == tensors[key].shape
        assert read.astype(value.dtype).tobytes() == value.tobytes()
    assert tensors["bf16"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("name", ["hostile_legacy.pth", "hostile_zip.bin"])
def test_hostile_pickles_are_refused_by_name_and_run_nothing(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("a command was run"))
    with pytest.raises(ValueError, match=r"posix\.system.*nothing was executed"):
        read_torch(FILES / name)
    assert not list(tmp_path.iterdir())


def test_truncated_files_are_refused_at_any_length(tmp_path):
    with pytest.raises(ValueError, match="truncated"):
        read_torch(FILES / "truncated.bin")
    for name in ("sample_zip.bin", "sample_legacy.pth"):
        data = (FILES / name).read_bytes()
        for length in (0, 1, 10, 100, len(data) // 2, len(data) - 30):
            path = tmp_path / "cut.bin"
            path.write_bytes(data[:length])
            with pytest.raises(ValueError):
                read_torch(path)


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path):
    path = tmp_path / "x.bin"
    write_torch(path, {"w": np.arange(6, dtype=np.float32).reshape(2, 3)})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    shape = parts["archive/data.pkl"].replace(
        b"J\x02\0\0\0J\x03\0\0\0t", b"J\x09\0\0\0J\x03\0\0\0t", 1
    )
    assert shape != parts["archive/data.pkl"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (parts | {"archive/data.pkl": shape}).items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match="beyond its storage"):
        read_torch(path)


def test_what_is_written_reads_back_bit_for_bit(tmp_path, expected):
    tensors = {k: v.read() for k, v in read_torch(FILES / "sample_zip.bin").items()}
    write_torch(tmp_path / "again.bin", tensors)
    again = read_torch(tmp_path / "again.bin")
    assert list(again) == list(tensors)
    for name, value in tensors.items():
        assert again[name].dtype == value.dtype
        assert again[name].read().tobytes() == value.tobytes()


HOSTILE = {
    "a storage whose length is set anew": (
        h.tensor((4,), of=h.storage() + b"](N" + h.number(4096) + b"eb"),
        "sets the state of a _Storage",
    ),
    "a dtype whose kind is set anew": (
        h.name("torch", "BFloat16Storage") + h.group(h.number(3), h.text("<")) + b"b",
        "sets the state of a dtype",
    ),
    "a tensor whose state is set": (h.tensor() + b"](" + h.numbers((9,)) + b"eb", "a LazyTensor"),
    "a storage that is called": (h.name("torch", "FloatStorage") + b")R", "calls a "),
    "a negative stride": (h.tensor((2,), (-1,), 3), "strides"),
    "a negative size": (h.tensor((-1,), (1,)), "shape"),
    "a size that is no number": (
        h.tensor(of=h.storage())[:-1].replace(h.numbers((4,)), h.group(b"\x88")) + b"R",
        "shape",
    ),
    "a negative offset": (h.tensor((2,), (1,), -1), "beyond its storage"),
    "an offset beyond the storage": (h.tensor((1,), (1,), 4), "beyond its storage"),
    "a stride beyond the storage": (h.tensor((2,), (2**40,)), "beyond its storage"),
    "a stride beyond 64 bits": (h.tensor((1,), (2**62,)), r"strides \(4611686018427387904,\)"),
    "an empty tensor beyond the storage": (h.tensor((0,), (1,), 2**40), "beyond its storage"),
    "one value repeated": (h.tensor((2**40,), (0,)), "repeats the 4 values"),
    "more dimensions than any": (h.tensor((1,) * 9, (1,) * 9), "up to 8 numbers"),
    "sizes without strides": (h.tensor((2, 2), (1,)), "expected as many"),
    "a storage of negative length": (h.tensor(of=h.storage(-4)), "expected a count"),
    "a storage longer than its entry": (h.tensor(of=h.storage(5)), "has 16 bytes"),
    "a storage that is not there": (h.tensor(of=h.storage(key="7")), "lacks the data"),
    "a storage elsewhere": (h.tensor(of=h.storage(key="../data.pkl")), "lacks the data"),
    "a storage that is a view": (
        h.tensor(of=h.storage(4, "0", "FloatStorage", h.numbers((0, 4)))),
        "a view of another",
    ),
    "a storage of objects": (h.tensor(of=h.storage(kind="ObjectStorage")), "torch.ObjectStorage"),
    "no storage": (h.tensor(of=h.text("x")), "no storage"),
    "no tensor": (h.number(3), "w0 is a int"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_tensor_is_refused_in_one_line(case, tmp_path):
    entry, message = HOSTILE[case]
    path = h.torch_zip(tmp_path / "x.bin", h.state_dict(entry))
    with pytest.raises(ValueError, match=message) as error:
        read_torch(path)
    assert str(error.value).startswith(str(path)) and len(str(error.value).splitlines()) == 1
    assert np.dtype(ml_dtypes.bfloat16).itemsize == 2


def test_the_tensors_of_hostile_are_read_where_they_are_right(tmp_path):
    data = np.arange(4, dtype=np.float32)
    path = h.torch_zip(tmp_path / "x.bin", h.state_dict(h.tensor((2, 1), (2, 1), 1)), {"0": data})
    np.testing.assert_array_equal(read_torch(path)["w0"].read(), [[1], [3]])


def test_a_file_that_shrinks_before_a_tensor_is_read_is_an_error(tmp_path):
    path = tmp_path / "x.bin"
    write_torch(path, {"w": np.ones(1 << 16, np.float32)})
    tensor = read_torch(path)["w"]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError):
        tensor.read()


def test_many_tensors_of_one_storage_hold_no_more_than_twice_the_file(tmp_path):
    entry = h.tensor((1 << 16,), of=h.storage(1 << 16))
    data = {"0": bytes(1 << 18)}
    assert len(read_torch(h.torch_zip(tmp_path / "a.bin", h.state_dict(entry), data))) == 1
    with pytest.raises(ValueError, match="more than 2 times the file's"):
        read_torch(h.torch_zip(tmp_path / "b.bin", h.state_dict(*[entry] * 9), data))


@pytest.mark.parametrize("key", ["\x1b[2Jgone", "two\nlines", "x" * 600])
def test_names_that_would_spoil_a_terminal_are_refused(key, tmp_path):
    path = h.torch_zip(tmp_path / "x.bin", h.state_dict(h.tensor(), key=h.text(key)))
    with pytest.raises(ValueError, match="can be printed") as error:
        read_torch(path)
    assert str(error.value).isprintable()


def test_compressed_encrypted_and_doubled_zip_entries_are_refused(tmp_path):
    pickle, path = h.state_dict(h.tensor()), tmp_path / "x.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle)
        archive.writestr("a/data/0", bytes(1 << 20))
    with pytest.raises(ValueError, match=r"data.pkl' is compressed; expected a stored one"):
        read_torch(path)
    content = bytearray(h.torch_zip(path, pickle).read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"data.pkl' is encrypted"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a/data.pkl", pickle)
        archive.writestr("a/data.pkl", pickle)
    with pytest.raises(ValueError, match="same name"):
        read_torch(path)


def test_a_zip_entry_that_ends_behind_the_file_is_refused(tmp_path):
    path = h.torch_zip(tmp_path / "x.bin", h.state_dict(h.tensor()))
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2", content.index(b"PK\1\2") + 4)
    content[entry + 24 : entry + 28] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"data/0' is truncated"):
        read_torch(path)


def test_a_zip_file_of_millions_of_entries_is_refused_before_they_are_listed(tmp_path):
    entry = b"PK\1\2" + bytes(42)
    count = (17 << 20) // len(entry)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, count * len(entry), 0, 0)
    path = tmp_path / "x.bin"
    path.write_bytes(entry * count + end)
    with pytest.raises(ValueError, match=r"its directory has 178\d+ bytes; up to 16777216"):
        read_torch(path)


KEY, DATA = h.text("0"), (4).to_bytes(8, "little") + bytes(16)


def legacy(path, keys=KEY, data=DATA, of=None):
    listed = b"\x80\x02](" + keys + b"e."
    return h.torch_legacy(path, h.state_dict(h.tensor(of=of), h.tensor()), listed, data)


def test_a_legacy_file_lists_each_storage_once_and_whole(tmp_path):
    path = tmp_path / "x.pth"
    np.testing.assert_array_equal(read_torch(legacy(path))["w1"].read(), np.zeros(4))
    for message, options in {
        "two sizes": {"of": h.storage(8)},
        "does not list": {"keys": h.text("0") * 2},
        "does not list the 1": {"keys": h.text("1")},
        "truncated in storage": {"data": (4).to_bytes(8, "little") + bytes(15)},
        "it is truncated": {"data": (-1).to_bytes(8, "little", signed=True) + bytes(16)},
    }.items():
        with pytest.raises(ValueError, match=message):
            read_torch(legacy(path, **options))
