"""Folders whose files are trusted because nobody but this user can have written them."""

import os
import stat
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def _refusal(info: os.stat_result) -> str | None:
    if os.name != "posix":
        return None
    if info.st_uid != os.geteuid():
        return f"it belongs to user {info.st_uid}, not to {os.geteuid()}"
    if info.st_mode & OTHERS_WRITE:
        return f"others may write it (mode {stat.S_IMODE(info.st_mode):o}); chmod go-w allows it"
    return None


def refusal(folder: Path) -> str | None:
    """Why an existing folder is not to be trusted, or None where it is."""
    info = folder.stat()
    return _refusal(info) if stat.S_ISDIR(info.st_mode) else "it is no folder"


def make_private(folder: Path) -> str | None:
    """Creates a folder of mode 0700, or narrows the mode of one that is there.

    Returns:
        Why the folder is not to be trusted, and then it is left as it is; None where it is.

    Raises:
        OSError: where it cannot be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (reason := refusal(folder)) is None and os.name == "posix":
        folder.chmod(0o700)
    return reason


def read_private(path: Path) -> bytes:
    """The contents of a regular file that only this user can have written.

    Raises:
        PermissionError: for any other file.
        OSError: where it cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
        info = os.fstat(file.fileno())
        reason = _refusal(info) if stat.S_ISREG(info.st_mode) else "it is no regular file"
        if reason:
            raise PermissionError(f"{path} is not used: {reason}")
        return file.read()


def write_private(path: Path, content: bytes) -> None:
    """Writes a file of mode 0600 that appears under its name in one piece."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(part, flags, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)
