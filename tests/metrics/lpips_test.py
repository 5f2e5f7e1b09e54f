"""LPIPS weights: the installed file is the published one, and no other structure is read."""

import pickle

import numpy as np
import pytest

from uav_jax.metrics import lpips
from uav_jax.metrics.lpips import installed_lpips, load_lpips
from uav_jax.weights.pickles import UnsafePickleError


def test_an_installed_file_that_was_changed_is_refused(monkeypatch):
    assert installed_lpips("alexnet") is not None
    installed_lpips.cache_clear()
    monkeypatch.setitem(lpips.SHA256, "alexnet", "0" * 64)
    try:
        with pytest.raises(ValueError, match=r"alexnet.ckpt has SHA-256 443c.*, expected 0000"):
            installed_lpips("alexnet")
    finally:
        installed_lpips.cache_clear()


def save(path, tree):
    path.write_bytes(pickle.dumps(tree, 3).replace(b"numpy._core", b"numpy.core"))
    return path


KERNEL, BIAS = np.zeros((3, 3, 1, 2), np.float32), np.zeros(2, np.float32)
BAD = {
    "a list": ([], "0 arrays of other names"),
    "no layers": ({"AlexNet_0": 3}, "0 arrays of other names"),
    "one layer": ({"A": {"Conv_0": {"kernel": KERNEL, "bias": BIAS}}}, "2 arrays of other names"),
    "no kernel": ({"A": {"Conv_0": {"bias": BIAS}}}, "has no kernel of four dimensions"),
    "a flat kernel": ({"A": {"Conv_0": {"kernel": BIAS}}}, "has no kernel of four dimensions"),
    "a long bias": (
        {"A": {"Conv_0": {"kernel": KERNEL, "bias": np.zeros(3, np.float32)}}},
        "has no bias of 2 values",
    ),
    "many layers": ({"A": {f"Conv_{i}": {} for i in range(40)}}, "more than 32 layers"),
}


@pytest.mark.parametrize("case", BAD)
def test_other_structures_are_refused_in_one_line(case, tmp_path):
    tree, message = BAD[case]
    with pytest.raises(ValueError, match=message) as error:
        load_lpips(save(tmp_path / "x.ckpt", tree))
    assert "x.ckpt holds no LPIPS weights" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_arrays_of_objects_are_refused(tmp_path):
    path = save(tmp_path / "x.ckpt", {"A": {"Conv_0": {"kernel": np.array([None])}}})
    with pytest.raises(UnsafePickleError, match="dtype 'O8'"):
        load_lpips(path)
