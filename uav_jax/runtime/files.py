"""Files that appear under their final name only once complete, and folders that are ours to remove.

Only this module, `jobs/outputs.py` and the compile cache rename or remove paths
(`tests/architecture_test.py` checks it).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_NAME = 255
"""Bytes of a file name on common file systems."""

PARTIAL = ".partial"
"""Suffix of files that are being written."""


def partial_path(path: Path) -> Path:
    """Returns the hidden neighbour of `path` under which it is written first."""
    name = f".{path.name}{PARTIAL}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{os.getpid()}{PARTIAL}"
    return path.with_name(name)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` that becomes `path` when the block succeeds.

    Args:
        path: The final path. A file of this name is replaced.

    Raises:
        OSError: The folder is missing or not writable, or the disk is full. Nothing is left then.
    """
    temporary = partial_path(path)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file that is never seen half-written."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `target` when the block succeeds.

    Args:
        target: A path where nothing is, or an empty folder.

    Raises:
        ValueError: Something is there.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} exists and is not empty; give a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if target.exists():
        target.rmdir()
    temporary.chmod(0o755)
    temporary.rename(target)


def make_own_folder(folder: Path, marker: str) -> None:
    """Creates a folder that `remove_own_folder` may remove later.

    Args:
        folder: Its path. It may exist if it is empty or holds `marker`.
        marker: Name of a file inside that says whose folder it is.

    Raises:
        ValueError: Something else has this name.
    """
    if folder.is_symlink() or (folder.exists() and not is_own_folder(folder, marker)):
        raise ValueError(f"{folder} exists and was not made by this program; move it away")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / marker).touch()


def is_own_folder(folder: Path, marker: str) -> bool:
    """Whether a folder holds `marker`, or nothing at all."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return (folder / marker).is_file() or not any(folder.iterdir())


def remove_own_folder(folder: Path, marker: str) -> None:
    """Removes a folder that `make_own_folder` made; leaves any other alone."""
    if is_own_folder(folder, marker):
        shutil.rmtree(folder, ignore_errors=True)


def empty_own_folder(folder: Path, marker: str, *, keep: Path | None = None) -> None:
    """Removes everything in a folder that `make_own_folder` made, but its marker and `keep`."""
    if not is_own_folder(folder, marker):
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path not in (keep, folder / marker):
            path.unlink(missing_ok=True)


def remove_own_file(path: Path) -> None:
    """Removes a file that the caller has written itself, if it is still there."""
    path.unlink(missing_ok=True)
