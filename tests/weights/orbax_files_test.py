"""Orbax checkpoints: names, shapes and pieces are compared before a value is read."""

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest

from uav_jax.weights import orbax_files
from uav_jax.weights.engine import WeightError
from uav_jax.weights.orbax_files import read_orbax

VALUES = {
    "a.kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.ones(3, ml_dtypes.bfloat16),
    "count": np.array(3, np.int32),
}
SHAPES = {name: value.shape for name, value in VALUES.items()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("orbax") / "weights"
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, VALUES)
    return path


def test_what_was_saved_is_read_in_its_dtype(saved):
    again = read_orbax(saved, SHAPES)
    assert set(again) == set(VALUES)
    for name, value in VALUES.items():
        assert again[name].dtype == value.dtype and again[name].tobytes() == value.tobytes()


def test_all_that_differs_is_named_before_a_value_is_read(saved, monkeypatch):
    monkeypatch.setattr(
        ocp.StandardCheckpointer, "restore", lambda *_: pytest.fail("values were read")
    )
    wanted = {"a.kernel": (2, 4), "a.bias": (3,), "more": (1,)}
    with pytest.raises(WeightError) as error:
        read_orbax(saved, wanted)
    message = str(error.value)
    assert "3 tensors" in message and "a.kernel has shape (2, 3), expected (2, 4)" in message
    assert "missing parameter more" in message and "unexpected parameter count" in message


def test_pieces_larger_than_a_tensor_and_other_types_are_refused():
    def found(chunk, dtype):
        storage = SimpleNamespace(chunk_shape=chunk)
        return SimpleNamespace(shape=(2, 3), dtype=dtype, storage=storage)

    for entry, message in (
        (found((2, 3), np.dtype(np.float32)), None),
        (found((2, 10**9), np.dtype(np.float32)), "is stored in pieces of (2, 1000000000)"),
        (found((2, 3), np.dtype("O")), "is no array of numbers"),
        (SimpleNamespace(shape=(2, 3)), "is no array of numbers"),
        (SimpleNamespace(), "has shape None"),
    ):
        problems = orbax_files._problems({"w": entry}, {"w": (2, 3)})
        assert len(problems) == (message is not None)
        assert message is None or message in problems[0]
