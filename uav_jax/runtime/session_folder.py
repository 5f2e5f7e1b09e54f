"""A folder for one process, which is removed at its end, or by the next process after a kill.

A process holds a lock on its folder. The system releases it however the process ends, so that a
folder without a lock is left over and can be removed.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uav_jax.runtime.files import is_own_folder, remove_own_folder

try:
    import fcntl
except ImportError:  # Windows has no such locks: nothing is swept there
    fcntl = None

MARKER = ".session"
"""File in a session's folder that says that it may be removed. Written under the lock."""


def _lock(folder: Path) -> int | None:
    """Locks a folder; returns a handle to close, or None where another process holds the lock."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def remove_stale_folders(parent: Path, prefix: str) -> list[Path]:
    """Removes the folders of sessions that were killed.

    Args:
        parent: Where they are.
        prefix: Of their names.

    Returns:
        Those that were removed. Folders of running sessions, of other users, and without our marker
        stay.
    """
    removed = []
    for folder in parent.iterdir() if fcntl is not None else ():
        if not folder.name.startswith(prefix) or not is_own_folder(folder, MARKER):
            continue
        if folder.lstat().st_uid != os.geteuid() or (handle := _lock(folder)) is None:
            continue
        try:
            remove_own_folder(folder, MARKER)
            removed.append(folder)
        finally:
            os.close(handle)
    return removed


@contextmanager
def session_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yields a new folder of mode 0700 that is removed when the block ends, however it does.

    Folders of sessions that were killed are removed first.

    Args:
        parent: An existing folder.
        prefix: Of its name.

    Raises:
        OSError: The parent is missing or not writable.
    """
    remove_stale_folders(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    handle = _lock(folder)
    (folder / MARKER).touch()
    try:
        yield folder
    finally:
        remove_own_folder(folder, MARKER)
        if handle is not None:
            os.close(handle)
