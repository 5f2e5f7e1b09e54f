"""Rematerialisation: what a backward pass computes again instead of keeping (Chen et al., 2016)."""

from collections.abc import Callable
from typing import Any, Literal

import jax
from flax import nnx

from uav_jax.shapes import Video

Remat = Literal["nothing", "elementwise", "blocks"]
"""``blocks`` keeps every block's input alone; ``elementwise`` also the results of its convolutions
and matrix multiplications (not attention's scores), so that norms and activations are computed
twice and nothing expensive is; ``nothing`` keeps all."""

Run = Callable[..., Any]


def remat(what: Remat) -> Run:
    """``run(call, module, *inputs)`` is ``call(module, *inputs)``; backward recomputes ``what``."""
    if what == "nothing":
        return lambda call, module, *inputs: call(module, *inputs)
    policy = _expensive if what == "elementwise" else None

    def run(call: Callable[..., Any], module: nnx.Module, *inputs: Video) -> Video:
        graph, state = nnx.split(module)

        def merged(state, *inputs):
            return call(nnx.merge(graph, state), *inputs)

        return jax.checkpoint(merged, policy=policy)(state, *inputs)

    return run


def _expensive(primitive, *arguments, **parameters) -> bool:
    if primitive is jax.lax.conv_general_dilated_p:
        return True
    unbatched = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    return bool(unbatched(primitive, *arguments, **parameters))
