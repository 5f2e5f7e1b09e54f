"""The one training loop."""

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AbstractMesh, Mesh
from rich.console import Console

from uav_jax.data.clips import places
from uav_jax.data.loader import Tokenize, batches
from uav_jax.pipeline.prompt import load_tokenizer, tokenize
from uav_jax.training.checkpoint import Checkpoints, save_network
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Parameters
from uav_jax.training.mesh import (
    batch_shardings,
    batch_ways,
    gathered,
    parameter_shardings,
    place,
    place_batch,
    replicated,
)
from uav_jax.training.step import TrainState, initial_state, make_train_step
from uav_jax.training.tasks import Task, make_task
from uav_jax.weights.model_files import find_model

PREEMPTED = 75
"""Exit status after SIGTERM (EX_TEMPFAIL): the run is saved and wants to be started again."""


class Preemption:
    """Inside its ``with`` block, SIGTERM and SIGINT are only remembered, until a step is over.

    Among several hosts the runtime that connects them agrees on the step at which all stop.
    """

    def __enter__(self) -> "Preemption":
        self._received = False
        numbers = (signal.SIGTERM, signal.SIGINT) if jax.process_count() == 1 else ()
        self._former = {number: signal.signal(number, self._receive) for number in numbers}
        return self

    def _receive(self, *_) -> None:
        self._received = True

    def requested(self, step: int) -> bool:
        """Whether to stop after ``step``."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._received

    def __exit__(self, *_) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)


def check_mesh(config: TrainConfig, mesh: Mesh | AbstractMesh) -> None:
    """``ValueError`` where the batch or the frames do not divide over the mesh."""
    ways = batch_ways(mesh) * config.accumulate
    if config.data.batch_size % ways:
        raise ValueError(
            f"batch size {config.data.batch_size} is no multiple of {ways} "
            f"(mesh data x fsdp {batch_ways(mesh)}, {config.accumulate} accumulated parts)"
        )
    rows = mesh.shape["context"] * 4
    if config.data.crop % rows:
        raise ValueError(f"crop {config.data.crop} is no multiple of {rows} (4 x mesh context)")
    if batch_ways(mesh) % jax.process_count():
        raise ValueError(
            f"mesh data x fsdp = {batch_ways(mesh)} does not divide over "
            f"{jax.process_count()} processes, each of which reads its own examples"
        )


def claim_workdir(config: TrainConfig, workdir: Path) -> None:
    """Records the recipe in ``workdir``; ``ValueError`` if it belongs to another one already."""
    identity = {"stage": config.stage, "vae": config.vae, "unet": config.unet}
    text = json.dumps({k: str(v) for k, v in identity.items()}, indent=1)
    path = workdir / "recipe.json"
    if path.is_file() and path.read_text() != text:
        other = json.loads(path.read_text()).get("stage")
        raise ValueError(
            f"{workdir} holds a run of stage {other!r} with other networks than this recipe's "
            f"({config.stage!r}); give another --workdir"
        )
    if jax.process_index() == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tokenizer(config: TrainConfig) -> Tokenize | None:
    """The tokenizer of a stage that reads prompts."""
    if config.text_encoder is None:
        return None
    model = load_tokenizer(find_model(config.text_from, complete=False).directory / "tokenizer")
    return lambda prompt: tokenize(model, [prompt])[0]


def stored(parameters: Parameters, dtype: str) -> Parameters:
    """Frozen networks in their storage type; LPIPS stays as it is."""
    networks = ("unet/", "vae/", "text/")
    return {n: v.astype(dtype) if n.startswith(networks) else v for n, v in parameters.items()}


def compiled_step(config: TrainConfig, task: Task, mesh: Mesh, state, frozen, batch: Mapping):
    """The jitted step with every argument's and result's sharding; ``state`` is donated."""
    step = make_train_step(task.loss, config.optimizer, config.accumulate)
    state_shardings = parameter_shardings(mesh, state)
    return jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(
            state_shardings,
            parameter_shardings(mesh, frozen),
            batch_shardings(mesh, batch),
            replicated(mesh),
        ),
        out_shardings=(state_shardings, replicated(mesh)),
    )


def train(config: TrainConfig, workdir: Path, *, console: Console | None = None) -> TrainState:
    """Runs a recipe from its newest checkpoint to its last step.

    Writes ``metrics.jsonl`` and checkpoints to ``workdir``. After SIGTERM or Ctrl-C it saves and
    leaves with status 75. Raises ``FloatingPointError`` when the loss is not finite, naming the
    step, the records of its batch and the last checkpoint; ``ValueError`` where the data or an
    earlier stage is missing, where the mesh does not fit, or where ``workdir`` is another recipe's.
    """
    mesh = config.mesh.make()
    check_mesh(config, mesh)
    places(config.data.kind, config.data.directory)
    claim_workdir(config, workdir)
    main = jax.process_index() == 0
    console = console or Console(stderr=True, quiet=not main)
    task = make_task(config)
    frozen = place(mesh, stored(task.frozen, config.frozen_dtype))
    state = place(mesh, initial_state(task.trained, config.optimizer))
    checkpoints = Checkpoints(workdir, config.keep_checkpoints)
    restored = checkpoints.restore_latest(state)
    if restored is not None:
        state = restored
        console.print(f"resuming at step {int(state.step)}")
    console.print(
        f"{config.stage}: {_count(task.trained):,} trained, {_count(task.frozen):,} frozen values"
    )
    share = (jax.process_index(), jax.process_count())
    data = batches(config.data, tokenizer(config), start=int(state.step), share=share)
    key = jax.random.key(config.seed + 1)
    step = None
    log_file = open_log(workdir / "metrics.jsonl", int(state.step)) if main else nullcontext()
    with log_file as log, Preemption() as preemption:
        report = _reporter(config, log, console, checkpoints)
        for number in range(int(state.step), config.steps):
            local = next(data)
            step = step or compiled_step(config, task, mesh, state, frozen, local)
            state, metrics = step(state, frozen, place_batch(mesh, local), key)
            done = number + 1 == config.steps
            if (number + 1) % config.log_every == 0 or done:
                report(number + 1, jax.device_get(metrics), local)
            stop = preemption.requested(number + 1)
            if (number + 1) % config.checkpoint_every == 0 or done or stop:
                checkpoints.save(state)
                network = {**task.rest, **gathered(mesh, state.average)}
                if main:
                    save_network(workdir, task.finish(network) if done else network)
            if stop and not done:
                checkpoints.close()
                console.print(f"stopped at step {number + 1}; start again to go on")
                sys.exit(PREEMPTED)
    checkpoints.close()
    return state


def open_log(path: Path, step: int) -> TextIO:
    """Opens ``metrics.jsonl`` for what follows ``step``; lines of lost later steps are dropped."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    kept = [line for line in lines if line.endswith("}\n") and json.loads(line)["step"] <= step]
    if kept != lines:
        path.write_text("".join(kept))
    return path.open("a")


def _count(parameters) -> int:
    return sum(int(np.prod(value.shape)) for value in parameters.values())


def _reporter(config: TrainConfig, log, console: Console, checkpoints: Checkpoints) -> Callable:
    start: list[float] = [time.monotonic(), 0]

    def report(step: int, metrics: dict, batch: dict) -> None:
        now = time.monotonic()
        rate = config.log_every / (now - start[0])
        start[0] = now
        values = {name: float(value) for name, value in metrics.items()}
        if not np.isfinite(values["loss"]):
            raise FloatingPointError(
                f"loss is {values['loss']} at step {step}; records {batch['index'].tolist()}; "
                f"last checkpoint: {checkpoints.latest_step() or 'none'}"
            )
        if log is None:
            return
        log.write(json.dumps({"step": step, "steps_per_second": rate, **values}) + "\n")
        log.flush()
        left = (config.steps - step) / rate / 60
        text = " ".join(f"{name} {value:.4f}" for name, value in values.items())
        console.print(
            f"step {step}/{config.steps}  {text}  {1 / rate:.2f} s/step  {left:.0f} min left"
        )

    return report
