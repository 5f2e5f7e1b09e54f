"""Command line of `uav-jax web`."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import jax.numpy as jnp

from uav_jax.pipeline.upscale import Upscaler
from uav_jax.programs import keep_compiled_programs
from uav_jax.runtime.session_folder import session_folder
from uav_jax.web.limits import Limits

FOLDER_PREFIX = "uav_web_"
"""Of the server's folder, by which the next server finds it after a kill."""

LIMITS = Limits()
POSITIVE = ("max_mb", "max_total_mb", "max_seconds", "max_queue", "keep_hours")


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(
        prog="uav-jax web",
        description="Serves a page to try it: drop a video, preview a second, upscale, compare.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    p.add_argument("--model", default="default", help="'default' or a model directory")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--host", default="127.0.0.1", help="address; 127.0.0.1: this machine only")
    p.add_argument(
        "--name",
        action="append",
        default=[],
        help="a host name that visitors reach this server by, besides localhost",
    )
    p.add_argument("--port", type=int, default=7860)
    p.add_argument("--folder", help="for visitors' files; else one among temporary files")
    for name, default, text in (
        ("max_mb", LIMITS.megabytes, "megabytes of an upload"),
        ("max_total_mb", LIMITS.total_megabytes, "megabytes of all files of a visitor"),
        ("max_seconds", LIMITS.seconds, "length of a video"),
        ("max_queue", LIMITS.queued_runs, "runs that may wait"),
        ("keep_hours", LIMITS.hours, "that files are kept after a visit or the end of a run"),
    ):
        p.add_argument(f"--{name}", type=type(default), default=default, help=text)
    return p


def check(options: argparse.Namespace) -> None:
    """Raises `ValueError` for options that are not possible."""
    if not 0 <= options.port <= 65535:
        raise ValueError(f"port {options.port} is outside 0..65535")
    for name in POSITIVE:
        if not getattr(options, name) > 0:
            raise ValueError(f"{name} {getattr(options, name):g} is not positive")
    if options.max_total_mb < options.max_mb:
        raise ValueError(
            f"max_total_mb {options.max_total_mb:g} is less than max_mb ({options.max_mb:g})"
        )
    if options.folder is not None and not Path(options.folder).is_dir():
        raise ValueError(f"folder {options.folder} does not exist")


def address(host: str, port: int) -> str:
    """Returns the page's address, IPv6 in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(options: argparse.Namespace, upscaler: Upscaler) -> None:
    """Serves until a signal comes, and removes visitors' files."""
    import uvicorn

    from uav_jax.web.connections import server_config
    from uav_jax.web.server import LOCAL_HOSTS, make_app

    limits = Limits(
        megabytes=options.max_mb,
        total_megabytes=options.max_total_mb,
        seconds=options.max_seconds,
        hours=options.keep_hours,
        queued_runs=options.max_queue,
    )
    host = options.host.strip("[]")
    parent = Path(options.folder or tempfile.gettempdir())
    # uvicorn sends itself the signal again once it has stopped: this ends the block below, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with session_folder(parent, FOLDER_PREFIX) as folder:
        app = make_app(upscaler, folder, limits=limits, hosts=(*LOCAL_HOSTS, host, *options.name))
        print(address(host, options.port), file=sys.stderr)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(server_config(app, host, options.port)).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is stopped; exit status 2 after a mistake."""
    options = parser().parse_args(arguments)
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        print(f'uav-jax web: {error.name} is missing; pip install ".[web]"', file=sys.stderr)
        return 2
    try:
        check(options)
        keep_compiled_programs()
        upscaler = Upscaler.from_pretrained(options.model, dtype=jnp.dtype(options.dtype))
    except (ValueError, OSError) as error:
        print(f"uav-jax web: {error}", file=sys.stderr)
        return 2
    serve(options, upscaler)
    return 0


if __name__ == "__main__":
    sys.exit(main())
