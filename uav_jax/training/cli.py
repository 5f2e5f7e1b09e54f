"""Command line of ``train.py``."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from uav_jax.recipes import load_recipe, override
from uav_jax.training.config import TrainConfig


def connect(address: str) -> None:
    """Joins the other hosts: ``auto`` (TPU pod, SLURM) or ``HOST:PORT,PROCESSES,INDEX``."""
    import jax

    if address == "auto":
        jax.distributed.initialize()
        return
    coordinator, *numbers = address.split(",")
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        raise ValueError(f"--distributed {address!r}; expected auto or HOST:PORT,PROCESSES,INDEX")
    jax.distributed.initialize(coordinator, int(numbers[0]), int(numbers[1]))


def _plan(config: TrainConfig, topology: str | None, devices: int | None) -> str:
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # no TPU is looked for where there is none
    import jax

    from uav_jax.training.planning import compile_for, describe

    if topology:
        return compile_for(config, topology)
    return describe(config, config.mesh.abstract(devices or jax.device_count()))


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(prog="train.py", description="Trains a stage of the model.")
    p.add_argument("config", type=Path, help="a recipe, such as configs/small/image_unet.py")
    p.add_argument("--workdir", type=Path, help="checkpoints and logs go here")
    p.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    p.add_argument(
        "--distributed",
        metavar="WHERE",
        help="several hosts: auto (TPU pod, SLURM) or HOST:PORT,PROCESSES,INDEX",
    )
    p.add_argument(
        "--dry-run", action="store_true", help="print parameters, memory and mesh, and stop"
    )
    p.add_argument(
        "--devices", type=int, help="with --dry-run: a number of devices that need not be here"
    )
    p.add_argument(
        "--aot", metavar="TOPOLOGY", help="compile for a TPU slice that is not here, as v5e:4x4"
    )
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains; returns 2 after a mistake or a divergence. A preempted run exits with 75."""
    options = parser().parse_args(arguments)
    try:
        if options.distributed:
            connect(options.distributed)
        config = load_recipe(options.config)
        for assignment in options.set:
            config = override(config, assignment)
        if options.dry_run or options.aot:
            print(_plan(config, options.aot, options.devices))
            return 0
        if options.workdir is None:
            raise ValueError("--workdir DIR is missing: checkpoints and logs go there")
        from uav_jax.training.loop import train

        train(config, options.workdir)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    return 0
