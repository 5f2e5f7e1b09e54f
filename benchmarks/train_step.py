"""A training step of a small model (``configs/small``) against its forward pass.

    python benchmarks/train_step.py [--json]

The U-Net's v-prediction step (forward, backward, clipping, Adam, average) of 2 clips of 8 frames of
24 x 24 latents, over the loss alone, both jitted, float32.
"""

from functools import partial

import jax
import jax.numpy as jnp
from measure import median_seconds, parse, report

from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.training.config import OptimizerConfig
from uav_jax.training.functional import Functional, initialise
from uav_jax.training.losses import mean_squared_error
from uav_jax.training.step import initial_state, make_train_step

SHAPE = (2, 8, 24, 24)


def main() -> None:
    """Prints both times and the ratio."""
    options = parse(__doc__)
    config = UNetConfig.small()
    make = partial(VideoUNet, config)
    network, parameters = Functional.of(make), initialise(make, 0)
    keys = jax.random.split(jax.random.key(0), 4)
    batch = {
        "latents": jax.random.normal(keys[0], (*SHAPE, 4)),
        "low_res": jax.random.normal(keys[1], (*SHAPE, 3)),
        "target": jax.random.normal(keys[2], (*SHAPE, 4)),
        "text": jax.random.normal(keys[3], (SHAPE[0], 77, config.cross_attention_dim)),
    }

    def loss(trained, frozen, batch, key, step):
        time, level = jnp.full(SHAPE[0], 500), jnp.full(SHAPE[0], 20)
        unet = network.bind(trained)
        v = unet(batch["latents"], batch["low_res"], time, level, batch["text"])
        return mean_squared_error(v, batch["target"]), {}

    optimizer = OptimizerConfig()
    state, key = initial_state(parameters, optimizer), jax.random.key(1)
    forward = jax.jit(lambda p, batch: loss(p, {}, batch, key, 0)[0])
    step = jax.jit(make_train_step(loss, optimizer))
    once = median_seconds(lambda: forward(parameters, batch), options.repeats)
    whole = median_seconds(lambda: step(state, {}, batch, key), options.repeats)
    report(options, {"forward s": once, "step s": whole, "ratio": whole / once})


if __name__ == "__main__":
    main()
