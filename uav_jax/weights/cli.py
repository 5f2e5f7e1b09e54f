"""Command line of ``convert.py``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from uav_jax.weights.model_files import convert, to_torch


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(
        prog="convert.py", description="Converts a released model to Orbax checkpoints, or back."
    )
    p.add_argument("source", type=Path, help="a released or a converted directory")
    p.add_argument("target", type=Path, help="a new folder")
    p.add_argument("--to-torch", action="store_true", help="write the released layout")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 with one line about what does not fit."""
    options = parser().parse_args(arguments)
    try:
        if not options.source.is_dir():
            raise ValueError(f"{options.source} is no directory")
        written = (to_torch if options.to_torch else convert)(options.source, options.target)
    except (ValueError, OSError) as error:
        print(f"convert.py: {error}", file=sys.stderr)
        return 2
    print(f"wrote {', '.join(written)} to {options.target}")
    return 0
