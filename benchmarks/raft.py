"""The flow network, as a time scaled by this machine's matrix products.

    python benchmarks/raft.py [--json]

Two pairs of 128 x 160 pixels, 20 iterations, float32. PyTorch took 0.71 s on a machine whose
matrix products ran at 169 GFLOP/s; the ratio is that time, scaled to this machine, over ours: 1 is
as fast.
"""

import jax
from flax import nnx
from measure import matmul_rate, median_seconds, parse, report

from uav_jax.models.raft.config import RAFTConfig
from uav_jax.models.raft.model import RAFT

REFERENCE_SECONDS, REFERENCE_RATE = 0.71, 169e9
ITERATIONS = 20


def main() -> None:
    """Prints seconds and the ratio."""
    options = parse(__doc__)
    raft = nnx.jit(lambda: RAFT(RAFTConfig(), rngs=nnx.Rngs(0)))()
    keys = jax.random.split(jax.random.key(0))
    first, second = (jax.random.uniform(k, (2, 128, 160, 3), minval=-1) for k in keys)
    call = nnx.jit(lambda raft, *pair: raft(*pair, iterations=ITERATIONS))
    before = matmul_rate(options.repeats)
    seconds = median_seconds(lambda: call(raft, first, second), options.repeats)
    rate = (before + matmul_rate(options.repeats)) / 2
    allowed = REFERENCE_SECONDS * REFERENCE_RATE / rate
    report(
        options,
        {
            "seconds": seconds,
            "PyTorch's, scaled": allowed,
            "matmul GFLOP/s": rate / 1e9,
            "ratio": allowed / seconds,
        },
    )


if __name__ == "__main__":
    main()
