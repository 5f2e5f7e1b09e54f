"""Golden cases: where they are, how weights and inputs are rebuilt, and how close is close."""

import functools
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
from flax import nnx

from uav_jax.weights.engine import LazyTensor, fill, parameter_shapes, to_ours

DIRECTORY = Path(os.environ.get("UAV_GOLDEN", Path(__file__).parent.parent / "golden"))

NETWORK_TOLERANCE = 2e-5
"""Ten times what the published code in float64 differs from its own float32 numbers."""
LOW_VARIANCE_TOLERANCE = 5e-5
"""For tiny activations and for the released sizes, where rounding adds up over more terms."""
PIPELINE_TOLERANCE = 1e-4
"""Several steps of a U-Net, each within ``NETWORK_TOLERANCE``."""
IMAGE_TOLERANCE = 2e-3
"""The images are stored in float16 (5e-4)."""


@functools.cache
def _weights_module():
    path = DIRECTORY / "golden_weights.py"
    if not path.is_file():
        path = Path(__file__).parent.parent / "golden" / "golden_weights.py"
    spec = importlib.util.spec_from_file_location("golden_weights", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_json(name: str):
    return json.loads((DIRECTORY / name).read_text())


@functools.cache
def seed() -> int:
    return load_json("seed.json")["seed"]


def cases(prefix: str) -> list[str]:
    """The case names of ``prefix_<case>.npz`` (``full_`` and ``lowvar`` cases included)."""
    names = sorted(p.stem[len(prefix) + 1 :] for p in DIRECTORY.glob(f"{prefix}_*.npz"))
    return names


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(DIRECTORY / f"{name}.npz") as file:
        return dict(file)


def random_input(name: str, shape) -> np.ndarray:
    """An input in PyTorch's layout."""
    return _weights_module().golden_input(name, tuple(map(int, shape)), seed())


def last(x: np.ndarray) -> np.ndarray:
    """``B C ...`` to ``B ... C``."""
    return np.moveaxis(x, 1, -1)


def first(x) -> np.ndarray:
    """``B ... C`` to ``B C ...``."""
    return np.moveaxis(np.asarray(x), -1, 1)


def tensor(name: str, shape, *, low_variance: bool = False) -> np.ndarray:
    """The golden value of a published parameter."""
    if name.endswith(".freqs"):
        return (10000.0 ** (-np.arange(16, dtype=np.float32) * 2 / 32)).astype(np.float32)
    if name.endswith("position_ids"):
        return np.arange(shape[-1], dtype=np.int64)[None]
    if ".norm3." in name and "cnet.layer" in name:
        name = name.replace("norm3", "downsample.1")
    value = _weights_module().golden_tensor(name, tuple(shape), seed())
    if "flow_head.conv2" in name:
        value = value * np.float32(0.2)
    norm_scale = value.ndim == 1 and not name.endswith("bias")
    if low_variance and not norm_scale:
        value = value * np.float32(0.05)
    return value


def state_dict(names: dict[str, list[int]], **options) -> dict[str, LazyTensor]:
    return {
        name: LazyTensor(
            tuple(shape),
            np.dtype(np.int64 if name.endswith(("position_ids", "tracked")) else np.float32),
            functools.partial(tensor, name, shape, **options),
        )
        for name, shape in names.items()
    }


def network(make, table, names: dict[str, list[int]], **options):
    """A network filled with golden weights through our own loader."""
    model = nnx.eval_shape(make)
    shapes = parameter_shapes(model)
    parameters, _ = to_ours(table, state_dict(names, **options), shapes, "golden")
    return fill(model, parameters, "golden")


def difference(actual, expected: np.ndarray) -> float:
    """Largest difference relative to the largest reference value."""
    actual = np.asarray(actual, np.float32)
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.abs(expected).max())
