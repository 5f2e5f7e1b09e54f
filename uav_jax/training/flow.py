"""The flow stage: RAFT on pairs of frames whose flow is known.

    loss = sum_k 0.8^(K - k) |f_k - f|_1        (Teed & Deng, ECCV 2020, equation 7)          (1)

over the flow f_k after each of K iterations.
"""

from functools import partial

import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from uav_jax.models.raft.model import RAFT
from uav_jax.motion.warp import warp
from uav_jax.shapes import Video
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Functional, Parameters
from uav_jax.training.partition import FLOW
from uav_jax.training.sources import Source
from uav_jax.training.step import Batch
from uav_jax.training.task import Task, to_unit_range

DECAY = 0.8
"""Weight of an iteration relative to the next one."""


def sequence_loss(
    predictions: Float[Array, "K N H W 2"], flow: Float[Array, "N H W 2"]
) -> Float[Array, ""]:
    """Equation (1), mean over pixels and both components."""
    count = predictions.shape[0]
    weights = DECAY ** jnp.arange(count - 1, -1, -1)
    return jnp.sum(weights * jnp.mean(jnp.abs(predictions - flow), (1, 2, 3, 4)))


def end_point_error(
    prediction: Float[Array, "N H W 2"], flow: Float[Array, "N H W 2"]
) -> Float[Array, ""]:
    """Mean distance of the flow vectors' ends, in pixels."""
    return jnp.mean(jnp.linalg.norm(prediction - flow, axis=-1))


def flow_network(config: TrainConfig, source: Source) -> Task:
    """RAFT; a validation picture shows the second frame warped back onto the first."""
    assert config.raft is not None
    make = partial(RAFT, config.raft)
    network = Functional.of(make)

    def loss(trained: Parameters, frozen: Parameters, batch: Batch, key: Array, step: Array):
        del key, step
        model = network.bind({**trained, **frozen})
        first, second = jnp.moveaxis(to_unit_range(batch["target"]), 1, 0)
        flows = model.predictions(first, second)
        error = end_point_error(flows[-1], batch["flow"])
        still = end_point_error(jnp.zeros_like(batch["flow"]), batch["flow"])
        metrics = {"end_point_error": error, "mean_motion": still}
        return sequence_loss(flows, batch["flow"]), metrics

    def sample(trained: Parameters, frozen: Parameters, batch: Batch, key: Array) -> Video:
        del key
        model = network.bind({**trained, **frozen})
        first, second = jnp.moveaxis(to_unit_range(batch["target"]), 1, 0)
        back = warp(second, model(first, second)[1], outside="border")
        return rearrange(jnp.stack([back, second]), "t b h w c -> b t h w c")

    trained, frozen = FLOW.split(source.network("flow", make, None, config.seed))
    return Task(trained, frozen, frozen, loss, sample)
