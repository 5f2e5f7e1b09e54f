"""Latents of mean 0 and deviation 1 a channel, without changing the autoencoder.

The 1x1 convolutions around the latents absorb the affine map:

    quant_conv:       mean' = (mean - m) / s,    log_variance' = log_variance - 2 ln s       (1)
    post_quant_conv:  W' = s W,                  b' = b + m W                                (2)

so decode(encode(x)) is the same function, and the diffusion model sees well-scaled latents.
"""

import numpy as np


def standardised(
    parameters: dict[str, np.ndarray], mean: np.ndarray, deviation: np.ndarray
) -> dict[str, np.ndarray]:
    """Autoencoder parameters whose latents ``(z - mean) / deviation`` of the given ones.

    ``mean`` and ``deviation`` are ``(C,)``, measured on the latents' means.
    """
    out = {name: np.asarray(value) for name, value in parameters.items()}
    channels = len(mean)
    kernel, bias = out["quant_conv.kernel"].copy(), out["quant_conv.bias"].copy()
    kernel[..., :channels] /= deviation
    bias[:channels] = (bias[:channels] - mean) / deviation
    bias[channels:] -= 2 * np.log(deviation)
    decode = out["post_quant_conv.kernel"]
    out["post_quant_conv.bias"] = out["post_quant_conv.bias"] + mean @ decode[0, 0]
    out["post_quant_conv.kernel"] = decode * deviation[:, None]
    return out | {"quant_conv.kernel": kernel, "quant_conv.bias": bias}
