"""Records that cannot be used: they are named and passed over, up to a limit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from uav_jax.runtime.faults import is_machine_fault


class UnusableClip(ValueError):
    """A source from which no clip can be cut: damaged, too short or too small.

    `record` names the file or record, where that is only a part of the source.
    """

    def __init__(self, message: str, record: str | None = None):
        super().__init__(message)
        self.record = record


@contextmanager
def unusable_if_damaged(name: str, record: str | None = None) -> Iterator[None]:
    """Raises `UnusableClip`, which names the record, for whatever goes wrong with it.

    Readers of media and their libraries raise almost anything at damaged files. One record must
    not end a run of days. A full disk or a lost file system must: the record is good another time,
    and a resumed run has to see the same records.
    """
    try:
        yield
    except UnusableClip:
        raise
    except Exception as error:
        if is_machine_fault(error):
            raise
        text = " ".join(str(error).split())
        if not isinstance(error, ValueError | OSError) or isinstance(error, UnicodeError):
            text = f"{type(error).__name__}: {text}"
        text = text if name in text else f"{name} cannot be read: {text}"
        raise UnusableClip(text, record) from error


class Unusable:
    """Clips that were passed over: each is named once, and too many stop the run."""

    def __init__(self, limit: int):
        self._limit, self._names, self._lock = limit, set(), Lock()

    def __reduce__(self):
        return Unusable, (self._limit,)  # every worker process counts for itself

    def report(self, name: str, error: UnusableClip, clips: int) -> None:
        """Notes one; ``ValueError`` beyond the limit, or when none of ``clips`` is left."""
        name = error.record or name
        with self._lock:
            if name in self._names:
                return
            self._names.add(name)
            count = len(self._names)
        logging.getLogger(__name__).warning("skipped %d clip(s) so far: %s", count, error)
        if count > self._limit:
            raise ValueError(f"{count} clips could not be used, more than {self._limit}: {error}")
        if count == clips:
            raise ValueError(f"none of {clips} clips can be used, the last because: {error}")
