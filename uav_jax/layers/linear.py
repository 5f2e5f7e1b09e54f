"""Parameters, linear layers and embedding tables."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
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


def sum_rows(x: Float[Array, "*batch C"]) -> Float[Array, " C"]:
    """Sum over everything but the last axis, in float32.

    On CPU a product with ones: XLA would compute a plain sum together with what it sums, value by
    value down the columns, several times slower.
    """
    x_PC = x.reshape(-1, x.shape[-1])
    return jax.lax.platform_dependent(
        x_PC,
        cpu=lambda x: jnp.dot(jnp.ones(len(x), x.dtype), x, preferred_element_type=jnp.float32),
        default=lambda x: x.sum(0, dtype=jnp.float32),
    )


@jax.custom_vjp
def add_bias(x: Float[Array, "*batch C"], bias: Float[Array, " C"]) -> Float[Array, "*batch C"]:
    """``x + bias`` whose gradient to the bias is ``sum_rows``."""
    return x + bias


def _add_bias_backward(bias: Array, grad: Array) -> tuple[Array, Array]:
    return grad, sum_rows(grad).astype(bias.dtype)


add_bias.defvjp(lambda x, bias: (x + bias, bias), _add_bias_backward)


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
        return add_bias(y, self.bias[...].astype(self.dtype)) if self.use_bias else y

    def columns(self, blocks: int = 1) -> list[tuple[Array, Array | None]]:
        """Kernel and bias in the compute dtype, cut into blocks of output channels."""
        kernels = jnp.split(self.kernel[...].astype(self.dtype), blocks, axis=-1)
        if not self.use_bias:
            return [(kernel, None) for kernel in kernels]
        biases = jnp.split(self.bias[...].astype(self.dtype), blocks)
        return list(zip(kernels, biases, strict=True))


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
