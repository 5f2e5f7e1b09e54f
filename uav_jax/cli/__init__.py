"""Command line of `infer.py`."""

from uav_jax.cli.arguments import parser
from uav_jax.cli.run import main

__all__ = ["main", "parser"]
