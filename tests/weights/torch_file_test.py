"""PyTorch files: read right, written right, and never executed."""

import os
import zipfile

import ml_dtypes
import numpy as np
import pytest

from tests.parity import golden as g
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
