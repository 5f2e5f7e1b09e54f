"""Which process works on what, agreed through files alone: on one machine or on a shared folder.

A claim is a file ``.NAME.claim.N`` that only one process can create. Its owner touches it while it
works; one whose owner is gone, or that was not touched for a while, is dead, and whoever creates
the next number takes over. Whoever has created one looks again whether any other lives, and gives
way.
"""

import hashlib
import json
import os
import socket
import threading
import time
from pathlib import Path

from uav_jax.runtime.files import LONGEST_NAME, remove_own_file
from uav_jax.runtime.json_files import read_object

ROOM = 24
"""Bytes that a claim's name needs beside the result's."""

LONGEST_NUMBER = 9
"""Digits of a claim's number."""

TOUCH_SECONDS, DEAD_SECONDS = 10.0, 60.0
"""Between two touches, and without one until a claim is dead (if its process cannot be asked)."""


class Claim:
    """Held inside a ``with`` block; made by ``take``."""

    def __init__(self, path: Path):
        self._path, self._stop = path, threading.Event()
        self._thread = threading.Thread(target=self._touch, daemon=True)

    def _touch(self) -> None:
        while not self._stop.wait(TOUCH_SECONDS):
            try:
                os.utime(self._path)
            except FileNotFoundError:  # taken away together with its folder: nothing to hold
                return
            except OSError:  # a network folder that is away for a moment
                continue

    def __enter__(self) -> "Claim":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()
        for path in _claims(self._path.parent, _name(self._path)):
            if path == self._path or (_is_claim(path) and not _alive(path)):
                remove_own_file(path)


def _name(path: Path) -> str:
    return path.name[1:].rpartition(".claim.")[0]


def _claims(folder: Path, name: str) -> list[Path]:
    """All claims of a name, by number."""
    found = [
        p
        for p in folder.iterdir()
        if p.name.startswith(f".{name}.claim.") and _is_number(p.name.rpartition(".")[2])
    ]
    return sorted(found, key=lambda p: int(p.name.rpartition(".")[2]))


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= LONGEST_NUMBER


def _owner(path: Path) -> dict | None:
    """What a claim says of its owner; None for files that `take` did not write."""
    try:
        owner = read_object(path)
    except (OSError, ValueError):
        return None
    whole = (
        set(owner) == {"host", "process", "started"}
        and isinstance(owner["host"], str)
        and type(owner["process"]) is int
        and isinstance(owner["started"], str | None)
    )
    return owner if whole else None


def _is_claim(path: Path) -> bool:
    """Whether a file is one that `take` wrote, or began to."""
    try:
        begun = path.is_file() and path.stat().st_size == 0
    except OSError:
        return False
    return begun or _owner(path) is not None


def _started(process: int) -> str | None:
    """When a process of this machine began, in the kernel's ticks; None if it does not run."""
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else rest[18]  # not a dead one that nobody has waited for


def _alive(path: Path) -> bool:
    """Whether the owner of a claim still works."""
    owner = _owner(path)
    if owner is None:  # being written just now, unless it has been so for long, or gone
        return _age(path) < DEAD_SECONDS
    if owner["host"] == socket.gethostname() and Path("/proc/self/stat").exists():
        return _started(owner["process"]) == owner["started"]
    return _age(path) < DEAD_SECONDS


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def take(folder: Path, name: str) -> Claim | None:
    """A claim to ``name``, or None while another process holds one."""
    if len(os.fsencode(name)) > LONGEST_NAME - ROOM:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    others = _claims(folder, name)
    if any(_is_claim(p) and _alive(p) for p in others):
        return None
    number = int(others[-1].name.rpartition(".")[2]) + 1 if others else 1
    path = folder / f".{name}.claim.{number}"
    process = os.getpid()
    owner = {"host": socket.gethostname(), "process": process, "started": _started(process)}
    try:
        with path.open("x") as file:
            json.dump(owner, file)
    except FileExistsError:
        return None
    if any(_is_claim(p) and _alive(p) for p in _claims(folder, name) if p != path):
        remove_own_file(path)
        return None
    return Claim(path)
