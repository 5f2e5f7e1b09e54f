"""What a result came from, so that it can be made again: versions, device, weights, inputs."""

import hashlib
import json
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax

PACKAGES = ("uav_jax", "jax", "jaxlib", "flax", "numpy", "av")
CHUNK = 1 << 24


def environment() -> dict:
    """Versions of what computes, and the device that it runs on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    device = jax.devices()[0]
    return {
        "versions": versions,
        "device": f"{len(jax.devices())} x {device.platform}: {device.device_kind}",
    }


def hash_files(paths: Iterable[Path], root: Path) -> str:
    """SHA-256 of the files' names below ``root`` and of their bytes."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path.relative_to(root)}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                total.update(chunk)
    return total.hexdigest()


def hash_paths(paths: Iterable[Path]) -> str:
    """SHA-256 of the bytes of files in this order; their names and places do not count.

    Args:
        paths: Files. One alone gives the SHA-256 of its bytes.
    """
    paths = list(paths)
    digests = [hash_file(path) for path in paths]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_path(path: Path) -> str:
    """SHA-256 of a file, or of every file below a folder (hidden ones left out)."""
    if path.is_file():
        return hash_file(path)
    files = (p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    return hash_files(files, path)


@cache
def hash_once(path: Path) -> str:
    """``hash_path`` of what does not change while the program runs, such as a model."""
    return hash_path(path)


def hash_values(values: dict) -> str:
    """Of settings: SHA-256 of their JSON with sorted keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
