"""Compiled programs are kept on disk, so that the second run starts in seconds.

JAX's own cache spares compiling. For the two large programs executables are kept beside it, found
by what a call is made of: they spare tracing and lowering too, which take longer than loading one.

An executable is code, and JAX unpickles what describes it. Both are loaded only from a folder and
from files that belong to this user and that nobody else can write.
"""

import hashlib
import logging
import os
import pickle
import platform
from collections import Counter
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import flax
import jax
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from uav_jax.runtime.private_folder import make_private, read_private, refusal, write_private

_log = logging.getLogger(__name__)

KEPT = 32
"""Executables in the folder; of more, those that were not used for longest are removed."""

_ready: dict[tuple, Any] = {}
_hits = Counter()  # of JAX's own cache
jax.monitoring.register_event_listener(
    lambda event, **_: _hits.update(
        ["hit"] if event.endswith("compilation_cache/cache_hits") else []
    )
)


def keep_compiled_programs() -> None:
    """Lets later runs load what this one compiles; a folder that JAX was told of is respected."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = root / "uav_jax" / "xla"
        try:
            reason = make_private(folder)
        except OSError as error:
            reason = str(error)
        if reason:
            return _say_unused(folder, reason)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # 150 small ones too


@cache
def _say_unused(folder: Path, reason: str) -> None:
    """Once for each folder."""
    _log.warning("compiled programs are not kept in %s: %s", folder, reason)


def call(program, config, network: tuple, inputs: tuple, **static):
    """``program(*network, *inputs, **static)``, through an executable from disk where there is one.

    ``program`` is jitted, ``network`` a split network of ``config``, ``static`` holds the
    program's static arguments. On the first device and with a cache folder; otherwise the program
    itself runs.
    """
    folder = jax.config.jax_compilation_cache_dir  # pyright: ignore
    leaves, tree = jax.tree.flatten(inputs)
    if not folder or any(x.devices() != {jax.devices()[0]} for x in leaves):
        return program(*network, *inputs, **static)
    kinds = tuple((x.shape, x.dtype.name) for x in leaves)
    key = (folder, program.__name__, config, str(tree), kinds, *sorted(static.items()))
    if key not in _ready:
        _ready[key] = _executable(program, key, network, inputs, static)
    return _ready[key](network[1], *inputs)


def _executable(program, key: tuple, network: tuple, inputs: tuple, static: dict):
    """Loaded if an earlier process left it, else compiled and left for later ones."""
    folder, *parts = key
    name = hashlib.sha256(repr((parts, _surroundings())).encode()).hexdigest()[:32]
    path = Path(folder) / "executables" / f"{program.__name__}-{name}"
    arguments = (network[1], *inputs)
    try:
        if reason := refusal(path.parent):
            raise PermissionError(reason)
        payload, out_tree = pickle.loads(read_private(path))
        loaded = deserialize_and_load(payload, jax.tree.structure((arguments, {})), out_tree)
        path.touch()
        return loaded
    except FileNotFoundError:
        pass
    except PermissionError as error:
        _say_unused(path.parent, str(error))
    except Exception as error:  # whatever is wrong with the file, it is made again
        _log.info("%s cannot be used: %s", path, error)
    lowered, before = program.lower(*network, *inputs, **static), _hits.total()
    compiled = lowered.compile()
    if _hits.total() > before:
        return compiled  # what came from JAX's own cache lacks code once it is written again
    try:
        payload, _, out_tree = serialize(compiled)
        _write(path, pickle.dumps((payload, out_tree)))
    except Exception as error:  # a full disk, a backend that cannot: the run itself goes on
        _log.info("%s is not kept: %s", path, error)
    return compiled


def _write(path: Path, content: bytes) -> None:
    """In one piece; then the folder is brought back to ``KEPT``."""
    if reason := make_private(path.parent):
        return _say_unused(path.parent, reason)
    write_private(path, content)
    found = sorted(path.parent.iterdir(), key=lambda p: p.stat().st_mtime)
    for old in found[:-KEPT]:
        old.unlink(missing_ok=True)


@cache
def _surroundings() -> tuple:
    """What else an executable depends on: versions, this package's files, machine, settings."""
    root = Path(__file__).parent
    files = sorted(root.rglob("*.py"))
    code = hashlib.sha256()
    for file in files:
        code.update(
            f"{file.relative_to(root)}\0".encode() + hashlib.sha256(file.read_bytes()).digest()
        )
    device = jax.devices()[0]
    cpu = Path("/proc/cpuinfo")  # an executable may hold instructions that another CPU lacks
    lines = cpu.read_text().split("\n") if cpu.is_file() else [platform.processor()]
    flags = [line for line in lines if line.startswith(("flags", "Features"))] or lines
    return (
        (jax.__version__, version("jaxlib"), flax.__version__),
        code.hexdigest(),
        (device.platform, device.device_kind, device.client.platform_version, flags[:1]),
        [os.environ.get(name) for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")],
        (jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision),  # pyright: ignore
    )
