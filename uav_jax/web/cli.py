"""Command line of ``uav-jax web``."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp

from uav_jax.pipeline.upscale import Upscaler
from uav_jax.programs import keep_compiled_programs


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(
        prog="uav-jax web",
        description="Serves a page to try it: drop a video, preview a second, upscale, compare.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    p.add_argument("--model", default="default", help="'default' or a model directory")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on; only this machine")
    p.add_argument(
        "--name",
        action="append",
        default=[],
        help="a host name that visitors reach this server by, besides localhost",
    )
    p.add_argument("--port", type=int, default=7860)
    p.add_argument("--folder", help="for visitors' files; else a temporary one")
    p.add_argument("--max_mb", type=float, default=500.0, help="size of an upload")
    p.add_argument("--max_seconds", type=float, default=120.0, help="length of a video")
    p.add_argument("--keep_hours", type=float, default=12.0, help="then a visitor's files go")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is stopped; exit status 2 after a mistake."""
    options = parser().parse_args(arguments)
    try:
        import uvicorn

        from uav_jax.web.server import Limits, make_app
    except ModuleNotFoundError as error:
        print(f'uav-jax web: {error.name} is missing; pip install ".[web]"', file=sys.stderr)
        return 2
    try:
        if not 0 <= options.port <= 65535:
            raise ValueError(f"port {options.port} is outside 0..65535")
        for name in ("max_mb", "max_seconds", "keep_hours"):
            if not getattr(options, name) > 0:
                raise ValueError(f"{name} {getattr(options, name):g} is not positive")
        if options.folder is not None and not Path(options.folder).is_dir():
            raise ValueError(f"folder {options.folder} does not exist")
        keep_compiled_programs()
        upscaler = Upscaler.from_pretrained(options.model, dtype=jnp.dtype(options.dtype))
    except (ValueError, OSError) as error:
        print(f"uav-jax web: {error}", file=sys.stderr)
        return 2
    limits = Limits(options.max_mb, options.max_seconds, options.keep_hours)
    hosts = ("127.0.0.1", "localhost", options.host, *options.name)
    with tempfile.TemporaryDirectory(prefix="uav_web_", dir=options.folder) as folder:
        app = make_app(upscaler, Path(folder), limits=limits, hosts=hosts)
        print(f"http://{options.host}:{options.port}", file=sys.stderr)
        uvicorn.run(
            app,
            host=options.host,
            port=options.port,
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
