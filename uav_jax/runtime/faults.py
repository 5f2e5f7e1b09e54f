"""Errors that are the machine's fault, told apart from those of a damaged file."""

import errno

MACHINE_ERRORS = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "ENOMEM", "EIO"),
        *("ESTALE", "ETIMEDOUT", "ECONNRESET", "ENOTCONN", "EHOSTDOWN", "ENETDOWN"),
    )
    if hasattr(errno, name)
)
"""Full disks, too many open files, lost file systems."""


def is_machine_fault(error: BaseException) -> bool:
    """Whether the same file may be read another time.

    FFmpeg uses the system's numbers for damaged files too; its errors are never counted.
    """
    ours = type(error).__module__ == "builtins"
    return ours and isinstance(error, OSError) and error.errno in MACHINE_ERRORS
