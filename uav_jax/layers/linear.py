"""Parameters, linear layers and embedding tables."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

lecun_normal = nnx.initializers.lecun_normal()


class NetworkConfig(Protocol):
    """What every network's configuration says about numbers; norms are stored as float32 anyway."""

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


Parts = Sequence[Array]
"""An array cut along its last axis."""


def cuts(parts: Parts) -> np.ndarray:
    """Where the whole was cut."""
    return np.cumsum([part.shape[-1] for part in parts])[:-1]


def sum_of_products(parts: Parts, kernel: Float[Array, "C c"]) -> Float[Array, "*batch c"]:
    """The parts together times ``kernel``, in its dtype: added up in float32, not put together."""
    sums = [
        jnp.matmul(part.astype(kernel.dtype), rows, preferred_element_type=jnp.float32)
        for part, rows in zip(parts, jnp.split(kernel, cuts(parts)), strict=True)
    ]
    return sum(sums[1:], sums[0]).astype(kernel.dtype)


Fold = Callable[[Array, Array | None], Array]
"""Kernel and bias -> the same product with a norm's output, from the norm's input."""


def _product(x: Array, kernel: Array, bias: Array | None, fold: Fold | None) -> Array:
    def plain(x: Array) -> Array:
        return x @ kernel if bias is None else add_bias(x @ kernel, bias)

    if fold is None:
        return plain(x)
    return jax.lax.platform_dependent(x, tpu=lambda _: fold(kernel, bias), default=plain)


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

    def __call__(
        self, *parts: Float[Array, "*batch _"], fold: Fold | None = None
    ) -> Float[Array, "*batch Cout"]:
        """Of ``parts`` along the input channels; ``fold`` is for one part that was normalised."""
        kernel = self.kernel[...].astype(self.dtype)
        bias = self.bias[...].astype(self.dtype) if self.use_bias else None
        if len(parts) == 1:
            return _product(parts[0].astype(self.dtype), kernel, bias, fold)
        y = sum_of_products(parts, kernel)
        return y if bias is None else add_bias(y, bias)

    def columns(
        self, x: Float[Array, "*batch Cin"], blocks: int, fold: Fold | None = None
    ) -> list[Float[Array, "*batch _"]]:
        """The result in blocks of output channels, each by a product of its own."""
        x, kernel = x.astype(self.dtype), self.kernel[...].astype(self.dtype)
        bias = self.bias[...].astype(self.dtype)
        pairs = zip(jnp.split(kernel, blocks, axis=-1), jnp.split(bias, blocks), strict=True)
        return [_product(x, k, b, fold) for k, b in pairs]


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
