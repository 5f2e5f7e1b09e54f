"""Parameters, linear layers and embedding tables."""

from collections.abc import Callable
from typing import Any, Protocol

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

lecun_normal = nnx.initializers.lecun_normal()


class NetworkConfig(Protocol):
    """What every network's configuration says about numbers."""

    @property
    def dtype(self) -> DTypeLike: ...

    @property
    def param_dtype(self) -> DTypeLike: ...


def layer_settings(config: NetworkConfig, rngs: nnx.Rngs | None) -> dict[str, Any]:
    """The keyword arguments that every layer takes: dtypes and random keys."""
    return {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}


def parameter(
    init: Callable, shape: tuple[int, ...], dtype: DTypeLike, rngs: nnx.Rngs | None
) -> nnx.Param:
    """A parameter drawn from ``init``, or zeros where there are no random keys.

    Networks that are about to be filled from a file are built abstractly with ``rngs=None``:
    tracing a thousand initialisers takes longer than reading the file.
    """
    if rngs is None:
        return nnx.Param(jnp.zeros(shape, dtype))
    return nnx.Param(init(rngs.params(), shape, dtype))


class Linear(nnx.Module):
    """``x @ kernel + bias`` over the last axis, kernel ``(Cin, Cout)``."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        zero_init: bool = False,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        init = nnx.initializers.zeros if zero_init else lecun_normal
        self.kernel = parameter(init, (in_features, out_features), param_dtype, rngs)
        if use_bias:
            self.bias = nnx.Param(jnp.zeros((out_features,), param_dtype))
        self.use_bias = use_bias
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*batch Cin"]) -> Float[Array, "*batch Cout"]:
        y = x.astype(self.dtype) @ self.kernel[...].astype(self.dtype)
        return y + self.bias[...].astype(self.dtype) if self.use_bias else y


class Embed(nnx.Module):
    """A table of rows: index array ``(...)`` to ``(..., features)``."""

    def __init__(
        self,
        rows: int,
        features: int,
        *,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        init = nnx.initializers.normal(0.02)
        self.embedding = parameter(init, (rows, features), param_dtype, rngs)
        self.dtype = dtype

    def __call__(self, index: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        return self.embedding[...][index].astype(self.dtype)
