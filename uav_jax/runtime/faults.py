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


def is_machine_fault(error: BaseException | None) -> bool:
    """Tells an error of the machine from one of a damaged file.

    Args:
        error: What was raised; the errors that caused it count too.

    Returns:
        Whether the same file may be readable another time. FFmpeg uses the system's numbers for
        damaged files too, so its errors never count.
    """
    while error is not None:
        is_system = type(error).__module__ == "builtins"
        if is_system and isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
            return True
        error = error.__cause__
    return False
