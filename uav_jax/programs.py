"""Compiled programs are kept on disk, so that the second run starts in seconds."""

import os
from pathlib import Path

import jax


def keep_compiled_programs() -> None:
    """Lets later runs load what this one compiles; a folder that JAX was told of is respected."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(root / "uav_jax" / "xla"))
