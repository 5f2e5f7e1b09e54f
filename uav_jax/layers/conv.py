"""Convolutions over video: per frame, over time, and over both.

Every convolution is a 2-D or 3-D cross-correlation in channels-last layout, as in the published
model, with kernels stored ``(kt, kh, kw, Cin, Cout)`` without the axes it does not have.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.experimental.layout import Layout, with_layout_constraint
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from uav_jax.layers.linear import add_bias, lecun_normal, parameter, sum_of_products
from uav_jax.shapes import Frames, Video

Padding = Sequence[tuple[int, int]]


def laid_out_for_images(x: Video) -> Video:
    """``x`` where a TPU's convolutions over images want it: frames beside channels.

    Values that are added up lie in rows of pixels otherwise, and each convolution has them moved.
    """
    return _laid_out(x, (2, 3, 0, 1, 4))


def laid_out_for_tokens(x: Video) -> Video:
    """``x`` where a TPU's products and convolutions over time want it: places beside channels."""
    return _laid_out(x, (0, 1, 2, 3, 4))


def _laid_out(x: Array, axes: tuple[int, ...]) -> Array:
    def move(x: Array) -> Array:
        return with_layout_constraint(x, Layout(axes))

    return jax.lax.platform_dependent(x, tpu=move, default=lambda x: x)


def _conv2d(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _patches(x_HWC: Array, kh: int, kw: int) -> Array:
    """The ``kh kw C`` values under the kernel at each of its positions, one row a position."""
    H, W, C = x_HWC.shape
    h, w = H - kh + 1, W - kw + 1
    shifted = [x_HWC[i : i + h, j : j + w] for i in range(kh) for j in range(kw)]
    return jnp.concatenate(shifted, axis=-1).reshape(h * w, kh * kw * C)


def _kernel_gradient_by_patches(x: Array, grad: Array, kernel: Array, padding: Padding) -> Array:
    """d loss / d kernel of a stride-1 convolution as a sum of patch-matrix products over images.

    XLA's own weight gradient runs at a fraction of the matmul rate on CPUs; this form is one
    matrix product per image, accumulated in a scan. The patches are taken of the side with fewer
    channels: of the input, or of the output's gradient, which gives the kernel turned round.
    """
    kh, kw, cin, cout = kernel.shape
    of_input = cin < cout
    if of_input:
        pads = padding
        patched, other = x, grad
    else:
        sides = zip((kh, kw), padding, strict=True)
        pads = [(k - 1 - before, k - 1 - after) for k, (before, after) in sides]
        patched, other = grad, x
    patched = jnp.pad(patched, ((0, 0), *pads, (0, 0)))

    def add_image(total: Array, image: tuple[Array, Array]) -> tuple[Array, None]:
        patched_HWC, other_HWC = image
        other_PC = other_HWC.reshape(-1, other_HWC.shape[-1])
        return total + other_PC.T @ _patches(patched_HWC, kh, kw), None

    start = jnp.zeros((other.shape[-1], kh * kw * patched.shape[-1]), x.dtype)
    total, _ = jax.lax.scan(add_image, start, (patched, other))
    if of_input:
        return total.T.reshape(kernel.shape)
    return jnp.flip(total.reshape(cin, kh, kw, cout), (1, 2)).transpose(1, 2, 0, 3)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv2d_with_gradient(x: Frames, kernel: Array, stride: int, padding: Padding) -> Array:
    return _conv2d(x, kernel, stride, padding)


def _conv2d_forward(x, kernel, stride, padding):
    return _conv2d(x, kernel, stride, padding), (x, kernel)


def _conv2d_backward(stride, padding, saved, grad):
    x, kernel = saved
    _, pull = jax.vjp(lambda x, k: _conv2d(x, k, stride, padding), x, kernel)
    if stride == 1 and kernel.shape[0] * kernel.shape[1] > 1:
        grad_kernel = jax.lax.platform_dependent(
            x,
            grad,
            kernel,
            cpu=lambda x, g, k: _kernel_gradient_by_patches(x, g, k, padding),
            default=lambda x, g, k: jax.vjp(lambda k: _conv2d(x, k, stride, padding), k)[1](g)[0],
        )
    else:
        grad_kernel = pull(grad)[1]
    return pull(grad)[0], grad_kernel


_conv2d_with_gradient.defvjp(_conv2d_forward, _conv2d_backward)


def conv2d(x: Frames, kernel: Array, stride: int, padding: Padding) -> Array:
    """Cross-correlates images ``(N, H, W, Cin)`` with a kernel ``(kh, kw, Cin, Cout)``.

    The gradient to a stride-1 kernel is computed by patch matrices on CPU and by XLA elsewhere.
    """
    return jnp.asarray(_conv2d_with_gradient(x, kernel, stride, padding))


class _Convolution(nnx.Module):
    """A kernel and a bias with separate storage and compute dtypes."""

    def __init__(
        self,
        kernel_shape: tuple[int, ...],
        *,
        zero_init: bool = False,
        dtype: DTypeLike,
        param_dtype: DTypeLike,
        rngs: nnx.Rngs | None,
    ):
        init = nnx.initializers.zeros if zero_init else lecun_normal
        self.kernel = parameter(init, kernel_shape, param_dtype, rngs)
        self.bias = nnx.Param(jnp.zeros(kernel_shape[-1:], param_dtype))
        self.dtype = dtype

    def _parameters(self) -> tuple[Array, Array]:
        return self.kernel[...].astype(self.dtype), self.bias[...].astype(self.dtype)


class Conv2d(_Convolution):
    """A ``kh x kw`` convolution applied to each frame on its own.

    ``padding`` is ((top, bottom), (left, right)); by default it keeps the size (odd kernels).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        *,
        stride: int = 1,
        padding: Padding | None = None,
        **settings,
    ):
        kh, kw = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        super().__init__((kh, kw, in_channels, out_channels), **settings)
        self.stride = stride
        self.padding = tuple(padding or ((kh // 2, kh // 2), (kw // 2, kw // 2)))

    def __call__(
        self, x: Float[Array, "*batch H W _"], *more: Float[Array, "*batch H W _"]
    ) -> Float[Array, "*batch h w Cout"]:
        """Of all input channels; those of 1x1 kernels may come in parts."""
        kernel, bias = self._parameters()
        if more:
            return add_bias(sum_of_products((x, *more), kernel[0, 0]), bias)
        if kernel.shape[:2] == (1, 1) and self.stride == 1:
            return add_bias(x.astype(self.dtype) @ kernel[0, 0], bias)
        return self.apply(partial(conv2d, stride=self.stride, padding=self.padding), x)

    def apply(
        self, convolve: Callable[[Frames, Array], Frames], x: Float[Array, "*batch H W Cin"]
    ) -> Float[Array, "*batch h w Cout"]:
        """``convolve(frames, kernel)`` plus the bias, for all frames of ``x`` as one batch."""
        kernel, bias = self._parameters()
        y = convolve(x.reshape(-1, *x.shape[-3:]).astype(self.dtype), kernel)
        return add_bias(y, bias).reshape(*x.shape[:-3], *y.shape[1:])

    def of_channels(
        self, x: Float[Array, "*batch H W _"], channels: slice
    ) -> Float[Array, "*batch h w Cout"]:
        """What some of the input channels give, without the bias; those of all add up."""
        kernel = self._parameters()[0][..., channels, :]
        images = x.reshape(-1, *x.shape[-3:]).astype(self.dtype)
        y = conv2d(images, kernel, self.stride, self.padding)
        return y.reshape(*x.shape[:-3], *y.shape[1:])


def _conv_over_time(x_BTPC: Array, kernel: Array) -> Array:
    """A temporal convolution with places as its batch: what the matrix unit of a TPU wants."""
    half = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x_BTPC,
        kernel[None],
        (1, 1),
        ((0, 0), (half, half)),
        dimension_numbers=("HWNC", "HWIO", "HWNC"),
    )


class TemporalConv(_Convolution):
    """A ``(k, 1, 1)`` convolution over time with zeros before the first and after the last frame.

    Computed as a 2-D convolution over (T, H*W), or on TPU over (B, T).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, **settings):
        super().__init__((kernel_size, in_channels, out_channels), **settings)

    def __call__(self, x: Video) -> Video:
        kernel, bias = self._parameters()
        B, T, H, W, C = x.shape
        half = kernel.shape[0] // 2
        y = jax.lax.platform_dependent(
            x.reshape(B, T, H * W, C).astype(self.dtype),
            kernel,
            tpu=_conv_over_time,
            default=lambda x, kernel: conv2d(x, kernel[:, None], 1, ((half, half), (0, 0))),
        )
        return add_bias(y, bias).reshape(B, T, H, W, -1)


class Conv3d(_Convolution):
    """A ``k x k x k`` convolution over time, rows and columns, zero padding, same size.

    Computed as one 2-D convolution over each frame stacked with its neighbours along channels.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, **settings):
        super().__init__((kernel_size,) * 3 + (in_channels, out_channels), **settings)

    def __call__(self, x: Video) -> Video:
        kernel, bias = self._parameters()
        k = kernel.shape[0]
        B, T, H, W, C = x.shape
        half = k // 2
        padded = jnp.pad(x.astype(self.dtype), ((0, 0), (half, half), (0, 0), (0, 0), (0, 0)))
        x_BTHWkC = jnp.concatenate([padded[:, i : i + T] for i in range(k)], axis=-1)
        kernel_hwkCc = jnp.moveaxis(kernel, 0, 2).reshape(k, k, k * C, -1)
        y = conv2d(
            x_BTHWkC.reshape(B * T, H, W, k * C), kernel_hwkCc, 1, ((half, half), (half, half))
        )
        return add_bias(y, bias).reshape(B, T, H, W, -1)
