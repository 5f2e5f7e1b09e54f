"""The released video decoder against this machine's matrix products.

    python benchmarks/vae.py [--json] [--dtype bfloat16]

Three frames of 32 x 32 latents to 128 x 128 pixels, float32 unless asked, seeded weights.
"""

import jax
from flax import nnx
from measure import parse, report_rate

from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder

GFLOP = 1056
"""Of one group at this shape, counted by hand from the published network's layers."""


def main() -> None:
    """Prints seconds, GFLOP/s and the ratio."""
    options = parse(__doc__, dtype="float32")
    config = VAEConfig.released(video=True, dtype=options.dtype, param_dtype=options.dtype)
    vae = nnx.jit(lambda: VideoAutoencoder(config, rngs=nnx.Rngs(0)))()
    keys = jax.random.split(jax.random.key(0))
    latents = jax.random.normal(keys[0], (1, 3, 32, 32, 4))
    low_res = jax.random.uniform(keys[1], (1, 3, 32, 32, 3), minval=-1)
    call = nnx.jit(lambda vae, *inputs: vae.decode(*inputs))
    report_rate(options, GFLOP, lambda: call(vae, latents, low_res))


if __name__ == "__main__":
    main()
