"""The one training loop."""

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from uav_jax.data.loader import batches, photo_files
from uav_jax.training.checkpoint import Checkpoints, save_network
from uav_jax.training.config import TrainConfig
from uav_jax.training.step import TrainState, initial_state, make_train_step
from uav_jax.training.tasks import make_task

PREEMPTED = 75
"""Exit status after SIGTERM (EX_TEMPFAIL): the run is saved and wants to be started again."""


class Preemption:
    """Inside its ``with`` block, SIGTERM and SIGINT are only remembered, until a step is over."""

    def __enter__(self) -> "Preemption":
        self.requested = False
        numbers = (signal.SIGTERM, signal.SIGINT)
        self._former = {number: signal.signal(number, self._request) for number in numbers}
        return self

    def _request(self, *_) -> None:
        self.requested = True

    def __exit__(self, *_) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)


def train(config: TrainConfig, workdir: Path, *, console: Console | None = None) -> TrainState:
    """Runs a recipe from its newest checkpoint to its last step.

    Writes ``metrics.jsonl`` and checkpoints to ``workdir``. After SIGTERM or Ctrl-C it saves and
    leaves with status 75. Raises ``FloatingPointError`` when the loss is not finite, naming the
    step and the records of its batch; ``ValueError`` where the data or an earlier stage is missing.
    """
    photo_files(config.data.directory)
    console = console or Console(stderr=True)
    workdir.mkdir(parents=True, exist_ok=True)
    task = make_task(config)
    state = initial_state(task.trained, config.optimizer)
    checkpoints = Checkpoints(workdir, config.keep_checkpoints)
    restored = checkpoints.restore_latest(state)
    if restored is not None:
        state = restored
        console.print(f"resuming at step {int(state.step)}")
    console.print(
        f"{config.stage}: {_count(task.trained):,} trained, {_count(task.frozen):,} frozen values"
    )
    step = jax.jit(make_train_step(task.loss, config.optimizer), donate_argnums=0)
    key = jax.random.key(config.seed + 1)
    data = batches(config.data, start=int(state.step))
    with (workdir / "metrics.jsonl").open("a") as log, Preemption() as preemption:
        report = _reporter(config, log, console)
        for number in range(int(state.step), config.steps):
            batch = next(data)
            state, metrics = step(state, task.frozen, batch, key)
            if (number + 1) % config.log_every == 0 or number + 1 == config.steps:
                report(number + 1, jax.device_get(metrics), batch)
            done = number + 1 == config.steps
            if (number + 1) % config.checkpoint_every == 0 or done or preemption.requested:
                checkpoints.save(state)
                network = {**task.rest, **state.average}
                save_network(workdir, task.finish(network) if done else network)
            if preemption.requested and not done:
                checkpoints.close()
                console.print(f"stopped at step {number + 1}; start again to go on")
                sys.exit(PREEMPTED)
    checkpoints.close()
    return state


def _count(parameters) -> int:
    return sum(int(np.prod(value.shape)) for value in parameters.values())


def _reporter(config: TrainConfig, log, console: Console) -> Callable:
    start: list[float] = [time.monotonic(), 0]

    def report(step: int, metrics: dict, batch: dict) -> None:
        now = time.monotonic()
        rate = config.log_every / (now - start[0])
        start[0] = now
        values = {name: float(value) for name, value in metrics.items()}
        if not np.isfinite(values["loss"]):
            raise FloatingPointError(
                f"loss is {values['loss']} at step {step}; records {batch['index'].tolist()}"
            )
        log.write(json.dumps({"step": step, "steps_per_second": rate, **values}) + "\n")
        log.flush()
        left = (config.steps - step) / rate / 60
        text = " ".join(f"{name} {value:.4f}" for name, value in values.items())
        console.print(
            f"step {step}/{config.steps}  {text}  {1 / rate:.2f} s/step  {left:.0f} min left"
        )

    return report
