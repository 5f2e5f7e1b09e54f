"""The optimizer step: gradient of the trained parameters only, clipping, Adam, moving average."""

import re
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from uav_jax.training.config import OptimizerConfig
from uav_jax.training.functional import Parameters

Metrics = dict[str, Array]
Batch = dict[str, Array]
Loss = Callable[[Parameters, Parameters, Batch, Array, Array], tuple[Array, Metrics]]
"""``loss(trained, frozen, batch, key, step) -> (scalar, metrics)``.

A ``loss`` among the metrics is what is reported, where the scalar only carries the gradient.
"""


class TrainState(NamedTuple):
    """What changes from step to step, and is saved."""

    step: Int[Array, ""]
    trained: Parameters
    average: Parameters
    optimizer: optax.OptState


def learning_rate(config: OptimizerConfig) -> optax.Schedule:
    """The rate of the update after a number of updates: linear warm-up, then constant or to 0."""
    rate = config.learning_rate
    after = optax.constant_schedule(rate)
    if config.decay_steps is not None:
        after = optax.linear_schedule(rate, 0.0, config.decay_steps)
    if not config.warmup_steps:
        return after
    warmup = optax.linear_schedule(rate / config.warmup_steps, rate, config.warmup_steps)
    return optax.join_schedules([warmup, after], [config.warmup_steps])


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Clipping by each network's global norm (optional), Adam, factors of the learning rate."""
    adam = optax.adam(learning_rate(config), config.beta1, config.beta2, config.epsilon)
    clip = () if config.clip_norm is None else (clip_by_network(config.clip_norm),)
    scale = (scale_by_name(config.rate_factors),) if config.rate_factors else ()
    return optax.chain(*clip, adam, *scale) if clip or scale else adam


def scale_by_name(factors: tuple[tuple[str, float], ...]) -> optax.GradientTransformation:
    """Multiplies updates by the factor of the first expression that is found in their name."""

    def factor(name: str) -> float:
        return next((factor for pattern, factor in factors if re.search(pattern, name)), 1.0)

    def scaled(updates: optax.Updates, _) -> optax.Updates:
        return {name: factor(name) * value for name, value in updates.items()}  # pyright: ignore

    return optax.stateless(scaled)


def clip_by_network(max_norm: float) -> optax.GradientTransformation:
    """Clips each network's gradient by its own norm.

    Names with a prefix ``NETWORK/`` are one network each, names without one another.
    """

    def networks(parameters: optax.Params) -> dict[str, str]:
        return {name: name.rpartition("/")[0] for name in parameters}  # pyright: ignore

    clip = optax.clip_by_global_norm(max_norm)
    return optax.partition(dict.fromkeys(("", "discriminator", "unet"), clip), networks)


def initial_state(trained: Parameters, config: OptimizerConfig) -> TrainState:
    """Step 0; the average starts as a copy."""
    average = {name: jnp.array(value) for name, value in trained.items()}
    optimizer = make_optimizer(config).init(trained)
    return TrainState(jnp.zeros((), jnp.int32), trained, average, optimizer)


def accumulated_gradient(loss: Loss, parts: int) -> Callable:
    """``(trained, frozen, batch, key, step) -> ((loss, metrics), gradient)``, mean over parts.

    The parts interleave the examples, so that each holds a share of every device's.
    """
    gradient_of = jax.value_and_grad(loss, has_aux=True)
    if parts == 1:
        return gradient_of

    def accumulated(trained: Parameters, frozen: Parameters, batch: Batch, key: Array, step: Array):
        def gradient_of_part(part_and_number):
            part, number = part_and_number
            return gradient_of(trained, frozen, part, jax.random.fold_in(key, number), step)

        split = {
            n: jnp.moveaxis(v.reshape(-1, parts, *v.shape[1:]), 1, 0) for n, v in batch.items()
        }
        total = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
            jax.eval_shape(gradient_of_part, (jax.tree.map(lambda v: v[0], split), 0)),
        )

        def add(total, part_and_number):
            return jax.tree.map(jnp.add, total, gradient_of_part(part_and_number)), None

        total, _ = jax.lax.scan(add, total, (split, jnp.arange(parts)))
        return jax.tree.map(lambda value: value / parts, total)

    return accumulated


def make_train_step(
    loss: Loss,
    config: OptimizerConfig,
    accumulate: int = 1,
    gather: Callable[[Parameters], Parameters] = lambda parameters: parameters,
):
    """``step(state, frozen, batch, key) -> (state, metrics)``, not yet jitted.

    ``key`` is the run's key; the step folds its number in. ``accumulate`` parts of the batch go
    through the loss one after the other. ``gather`` brings the trained parameters together for the
    loss, and its gradient for the optimizer. Metrics hold ``loss`` and ``grad_norm``, the norm
    before clipping.
    """
    optimizer = make_optimizer(config)
    gradient_of = accumulated_gradient(loss, accumulate)

    def step(state: TrainState, frozen: Parameters, batch: Batch, key: Array):
        key = jax.random.fold_in(key, state.step)
        whole = gather(state.trained)
        (value, metrics), gradient = gradient_of(whole, frozen, batch, key, state.step)
        gradient = gather(gradient)
        updates, moments = optimizer.update(gradient, state.optimizer, state.trained)
        trained: Parameters = optax.apply_updates(state.trained, updates)  # pyright: ignore
        # The average's early steps count less than its decay says, so that it forgets the start.
        decay = jnp.minimum(config.ema_decay, (1 + state.step) / (10 + state.step))
        average = jax.tree.map(lambda a, b: a + (1 - decay) * (b - a), state.average, trained)
        metrics = {"loss": value, "grad_norm": optax.tree.norm(gradient), **metrics}
        return TrainState(state.step + 1, trained, average, moments), metrics

    return step
