"""Files that get their final name only once complete, and folders that are ours to remove.

Only this folder, `jobs/outputs.py` and the compile cache rename or remove paths
(`tests/architecture_test.py` checks it).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST_NAME = 255
"""Bytes of a file name on common file systems."""

LONGEST_TEXT = 2**20
"""Bytes of a file of prompts."""

PARTIAL = ".partial"
"""Suffix of files that are being written."""


def partial_path(path: Path) -> Path:
    """Creates an empty hidden file beside `path`, under a name that nobody has, and returns it.

    Raises:
        OSError: The folder is missing or not writable.
    """
    handle, name = tempfile.mkstemp(prefix=".", suffix=PARTIAL, dir=path.parent)
    os.close(handle)
    return Path(name)


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
        temporary.chmod(0o666 & ~_umask())
        _to_disk(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    """What new files may not allow; `mkstemp` allows less."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _to_disk(path: Path) -> None:
    """Waits until a file's content is on the disk, so that a power cut leaves no empty file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file that is never seen half-written."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_any_text(path: Path) -> str:
    """Reads a text file in UTF-8, UTF-16 (with its mark) or, failing those, Windows-1252.

    Raises:
        ValueError: It is longer than `LONGEST_TEXT` bytes.
    """
    with path.open("rb") as file:
        data = file.read(LONGEST_TEXT + 1)
    if len(data) > LONGEST_TEXT:
        raise ValueError(f"{path} has more than {LONGEST_TEXT:,} bytes; expected a short text")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


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
        folder: Its path. It may exist if it holds `marker`.
        marker: Name of a file inside that says whose folder it is.

    Raises:
        ValueError: Something else has this name.
    """
    if is_own_folder(folder, marker):
        return
    if folder.is_symlink() or folder.exists():
        raise ValueError(f"{folder} exists and was not made by this program; move it away")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".", suffix=PARTIAL, dir=folder.parent))
    (temporary / marker).touch()
    temporary.rename(folder)


def is_own_folder(folder: Path, marker: str) -> bool:
    """Whether a folder holds `marker`."""
    return not folder.is_symlink() and (folder / marker).is_file()


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


def folder_bytes(folder: Path) -> int:
    """Returns what the files in a folder and below take; 0 where there is none."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # removed meanwhile
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
