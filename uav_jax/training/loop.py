"""The one training loop."""

import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AbstractMesh, Mesh
from rich.console import Console

from uav_jax.data.clips import places
from uav_jax.data.loader import Tokenize, batches
from uav_jax.pipeline.prompt import load_tokenizer, tokenize
from uav_jax.runtime.files import write_text
from uav_jax.runtime.json_files import read_object
from uav_jax.training.checkpoint import BEST, NETWORK, Checkpoints, save_network
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Parameters
from uav_jax.training.log import RunLog, Watchman
from uav_jax.training.mesh import (
    batch_shardings,
    batch_ways,
    gathered,
    gathered_shardings,
    parameter_shardings,
    place,
    place_batch,
    replicated,
)
from uav_jax.training.sources import Files
from uav_jax.training.step import TrainState, initial_state, learning_rate, make_train_step
from uav_jax.training.task import Task, own, part
from uav_jax.training.tasks import make_task
from uav_jax.training.validation import Validation
from uav_jax.weights.model_files import find_model

PREEMPTED = 75
"""Exit status after SIGTERM (EX_TEMPFAIL): the run is saved and wants to be started again."""


HOW = ("dtype", "param_dtype", "remat")
"""Of a network's configuration: how it is computed, which may change during a run."""


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
    identity: dict = {"stage": config.stage}
    for name in ("vae", "unet", "raft"):
        network = getattr(config, name)
        identity[name] = network and {k: v for k, v in asdict(network).items() if k not in HOW}
    text = json.dumps(identity, indent=1)
    path = workdir / "recipe.json"
    if path.exists() and (not path.is_file() or path.read_bytes() != text.encode()):
        try:
            other = read_object(path).get("stage")
        except ValueError as error:
            raise ValueError(
                f"{error}; remove it if {workdir} holds a run of this recipe, or give another "
                "--workdir"
            ) from error
        raise ValueError(
            f"{workdir} holds a run of stage {other!r} with other networks than this recipe's "
            f"({config.stage!r}); give another --workdir"
        )
    if jax.process_index() == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        write_text(path, text)


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

    def gather(parameters: Parameters) -> Parameters:
        used = gathered_shardings(mesh, config.mesh, parameters)
        return jax.lax.with_sharding_constraint(parameters, used)

    step = make_train_step(task.loss, config.optimizer, config.accumulate, gather)
    state_shardings = parameter_shardings(mesh, state)
    return jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(
            state_shardings,
            gathered_shardings(mesh, config.mesh, frozen),
            batch_shardings(mesh, batch),
            replicated(mesh),
        ),
        out_shardings=(state_shardings, replicated(mesh)),
    )


class Run:
    """One run of a recipe on this host."""

    def __init__(self, config: TrainConfig, workdir: Path, console: Console | None):
        self.mesh = config.mesh.make()
        check_mesh(config, self.mesh)
        places(config.data.kind, config.data.directory)
        claim_workdir(config, workdir)
        self.main = jax.process_index() == 0
        self.console = console or Console(stderr=True, quiet=not self.main)
        self.config, self.workdir = config, workdir
        self.task = make_task(config)
        frozen = stored(self.task.frozen, config.frozen_dtype)
        self.frozen = place(frozen, gathered_shardings(self.mesh, config.mesh, frozen))
        state = initial_state(self.task.trained, config.optimizer)
        self.state = place(state, parameter_shardings(self.mesh, state))
        self.checkpoints = Checkpoints(
            workdir, config.keep_checkpoints, validated=config.validation.batches > 0
        )
        restored = self.checkpoints.restore_latest(self.state)
        if restored is not None:
            self.state = restored
            self.console.print(f"resuming at step {int(self.state.step)}")
        share = (jax.process_index(), jax.process_count())
        tokenize = tokenizer(config)
        start = self.start = int(self.state.step)
        self.data = batches(config.data, tokenize, start=start, share=share)
        self.validation = Validation(config, self.task, Files(), self.mesh, tokenize, share)
        self.watchman = Watchman(config.divergence)
        self.log = RunLog(config, workdir, start, self.console) if self.main else None

    def loop(self) -> TrainState:
        """From the state's step to the last one."""
        config, step = self.config, None
        key, rate = jax.random.key(config.seed + 1), learning_rate(config.optimizer)
        with Preemption() as preemption:
            for number in range(self.start + 1, config.steps + 1):
                local = next(self.data)
                placed = place_batch(self.mesh, local)
                step = step or self.compiled(placed, key)
                self.state, metrics = step(self.state, self.frozen, placed, key)
                self.watchman.note(number, local["index"], metrics)
                done, stop = number == config.steps, preemption.requested(number)
                save = number % config.checkpoint_every == 0 or done or stop
                if save or number % config.log_every == 0:
                    self.watchman.check(self.checkpoints.latest_step())
                if self.log and (number % config.log_every == 0 or done):
                    self.log.metrics(number, metrics, float(np.asarray(rate(number - 1))))
                if save:
                    self.save(number, done)
                if stop and not done:
                    self.console.print(f"stopped at step {number}; start again to go on")
                    sys.exit(PREEMPTED)
        return self.state

    def compiled(self, batch: Mapping, key: jax.Array):
        """The step compiled for these shapes."""
        jitted = compiled_step(self.config, self.task, self.mesh, self.state, self.frozen, batch)
        compiled = jitted.lower(self.state, self.frozen, batch, key).compile()
        if self.log:
            self.log.step_flops = (compiled.cost_analysis() or {}).get("flops")
        return compiled

    def save(self, step: int, done: bool) -> None:
        """Validation, a checkpoint, and the averaged network as a file."""
        validated = self.validation(self.state.average, self.frozen)
        if validated and self.log:
            self.log.validation(step, *validated)
        self.checkpoints.save(self.state, validated[0] if validated else None)
        average = gathered(self.mesh, self.state.average)
        network = {**self.task.rest, **own(average)}
        beside = part("unet", average)  # learns along with the video decoder where asked
        beside = beside and {**part("unet", self.frozen), **beside}
        if self.main:
            network = self.task.finish(network) if done else network
            best = validated and self.checkpoints.best_step() == step
            for file in (NETWORK, BEST) if best else (NETWORK,):
                save_network(self.workdir, network, file)
                if beside:
                    save_network(self.workdir, beside, f"unet-{file}")

    def close(self) -> None:
        """Waits for what is being written, and draws the curves."""
        self.checkpoints.close()
        if self.log:
            self.log.close()


def train(config: TrainConfig, workdir: Path, *, console: Console | None = None) -> TrainState:
    """Runs a recipe from its newest checkpoint to its last step.

    Writes checkpoints, ``metrics.jsonl``, TensorBoard's files, ``samples/`` and ``curves.png`` to
    ``workdir``. After SIGTERM or Ctrl-C it saves and leaves with status 75. Raises
    ``FloatingPointError`` when the loss is not finite or diverges, naming the step, the records of
    its batch and the last good checkpoint; ``ValueError`` where the data or an earlier stage is
    missing, where the mesh does not fit, or where ``workdir`` is another recipe's.
    """
    run = Run(config, workdir, console)
    run.console.print(
        f"{config.stage}: {_count(run.task.trained):,} trained, "
        f"{_count(run.task.frozen):,} frozen values"
    )
    try:
        return run.loop()
    finally:
        run.close()


def _count(parameters: Mapping) -> int:
    return sum(int(np.prod(value.shape)) for value in parameters.values())
