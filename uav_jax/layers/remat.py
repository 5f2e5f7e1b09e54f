"""Rematerialisation: what a backward pass computes again instead of keeping (Chen et al., 2016)."""

from collections.abc import Callable
from typing import Literal, TypeVar

import jax
from flax import nnx

from uav_jax.shapes import Video

Remat = Literal["nothing", "elementwise", "blocks"]
"""``blocks`` keeps every block's input alone; ``elementwise`` also the results of its convolutions
and matrix multiplications (not attention's scores), so that norms and activations are computed
twice and nothing expensive is; ``nothing`` keeps all."""

Block = TypeVar("Block", bound=nnx.Module)
Run = Callable[[Callable[[Block, Video], Video], Block, Video], Video]


def remat(what: Remat) -> Run:
    """``run(call, module, x)``: ``call(module, x)``, whose backward pass recomputes ``what``."""
    if what == "nothing":
        return lambda call, module, x: call(module, x)
    policy = _expensive if what == "elementwise" else None

    def run(call: Callable[[Block, Video], Video], module: Block, x: Video) -> Video:
        graph, state = nnx.split(module)
        again = jax.checkpoint(lambda state, x: call(nnx.merge(graph, state), x), policy=policy)
        return again(state, x)

    return run


def _expensive(primitive, *arguments, **parameters) -> bool:
    if primitive is jax.lax.conv_general_dilated_p:
        return True
    unbatched = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    return bool(unbatched(primitive, *arguments, **parameters))
