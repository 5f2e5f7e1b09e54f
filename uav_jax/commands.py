"""One entry point for everything: ``uav-jax upscale``, ``uav-jax train``, ...

The scripts at the top of the repository call the same functions.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "upscale": ("uav_jax.cli", "upscale videos (infer.py)"),
    "train": ("uav_jax.training.cli", "train a stage of the model (train.py)"),
    "evaluate": ("uav_jax.evaluation.cli", "score upscaling methods (evaluate.py)"),
    "convert": ("uav_jax.weights.cli", "convert released weights, or back (convert.py)"),
    "web": ("uav_jax.web.cli", "serve a page to try it in a browser"),
    "doctor": ("uav_jax.doctor", "say what is here: devices, memory, codecs, weights, extras"),
}
"""Name -> (module with ``main`` and ``parser``, what it does), imported when it is named."""

USAGE = """uav-jax: text-guided, temporally consistent video super-resolution

examples:
  uav-jax upscale -i clip.mp4 -o out
  uav-jax upscale --demo -o results
  uav-jax web
  uav-jax doctor
  uav-jax completion bash >> ~/.bash_completion

commands (each has --help):
"""


def usage() -> str:
    """What ``uav-jax --help`` prints."""
    rows = [f"  {name:11} {what}" for name, (_, what) in COMMANDS.items()]
    return USAGE + "\n".join([*rows, "  completion  print a completion script: bash, zsh, tcsh"])


def completion(shell: str) -> str:
    """A completion script. ``ValueError`` for other shells, and where shtab is not installed."""
    try:
        import shtab
    except ModuleNotFoundError:
        raise ValueError('shtab is missing; pip install ".[completion]"') from None
    if shell not in shtab.SUPPORTED_SHELLS:
        raise ValueError(f"shell {shell!r}; expected {', '.join(shtab.SUPPORTED_SHELLS)}")
    whole = argparse.ArgumentParser(prog="uav-jax")
    commands = whole.add_subparsers()
    for name, (module, what) in COMMANDS.items():
        parts = import_module(module).parser()
        commands.add_parser(name, help=what, parents=[parts], conflict_handler="resolve")
    return shtab.complete(whole, shell)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; exit status 2 for one that does not exist."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    try:
        if name == "completion":
            print(completion(rest[0] if rest else "bash"))
            return 0
        if name not in COMMANDS:
            raise ValueError(f"unknown command {name!r}; expected {', '.join(COMMANDS)}")
    except ValueError as error:
        print(f"uav-jax: {error}", file=sys.stderr)
        return 2
    return import_module(COMMANDS[name][0]).main(rest)


if __name__ == "__main__":
    sys.exit(main())
