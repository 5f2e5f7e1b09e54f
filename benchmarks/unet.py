"""The released U-Net against this machine's matrix products.

    python benchmarks/unet.py [--json] [--dtype bfloat16]

Batch 2 x 8 frames x 32 x 32 latents, seeded weights (4 GB of memory and more), float32 unless
another type is asked for.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from measure import parse, report_rate

from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet

GFLOP = 1842
"""Of one evaluation at this shape, counted by hand from the published network's layers."""


def main() -> None:
    """Prints seconds, GFLOP/s and the ratio."""
    options = parse(__doc__, dtype="float32")
    config = UNetConfig.released(dtype=options.dtype, param_dtype=options.dtype)
    unet = nnx.jit(lambda: VideoUNet(config, rngs=nnx.Rngs(0)))()
    keys = jax.random.split(jax.random.key(0), 3)
    inputs = (
        jax.random.normal(keys[0], (2, 8, 32, 32, 4)),
        jax.random.normal(keys[1], (2, 8, 32, 32, 3)),
        jnp.full(2, 500),
        jnp.full(2, 120),
        jax.random.normal(keys[2], (2, 77, config.cross_attention_dim)),
    )
    call = nnx.jit(lambda unet, *inputs: unet(*inputs))
    report_rate(options, GFLOP, lambda: call(unet, *inputs))


if __name__ == "__main__":
    main()
