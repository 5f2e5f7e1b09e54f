"""Who is there, and the files of each: known by a secret in a cookie, removed after a time.

A visit begins with the first upload. A visitor's folder is named by a hash of the secret, so that
neither a listing of folders nor a log line lets anybody in. Methods that touch the disk are called
on a thread, and never hold the lock while they do.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from uav_jax.runtime.files import (
    empty_own_folder,
    folder_bytes,
    make_own_folder,
    remove_own_folder,
)
from uav_jax.video.source import SourceInfo
from uav_jax.web.queue import Run
from uav_jax.web.refusals import Refusal

MARKER = ".visitor"
"""File in the folders that this server made, and may remove."""


@dataclass(slots=True)
class Upload:
    """A video that a visitor brought. `name` is only shown and never part of a path."""

    name: str
    source: SourceInfo


@dataclass(slots=True)
class Visitor:
    """What belongs to one visitor."""

    folder: Path
    seen: float = field(default_factory=time.monotonic)
    upload: Upload | None = None
    run: Run | None = None  # the last one that was asked for
    preview: int = 0  # frames of the finished preview
    result: Path | None = None
    stills: tuple[int, ...] = ()  # frame numbers of the result that can be compared
    settings: dict = field(default_factory=dict)  # of the last run, as the page sent them
    scans: int = 0  # reads of the upload under way
    is_reserved: bool = False  # an upload arrives, a run is prepared or files are removed

    @property
    def is_active(self) -> bool:
        """Whether something of this visitor is under way."""
        return self.is_reserved or bool(self.run and self.run.is_active)

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keeps other uploads and runs of this visitor away while the block runs.

        Raises:
            Refusal: There is one already (409).
        """
        if self.is_active:
            raise Refusal(409, "one at a time: cancel the run under way first")
        self.is_reserved = True
        try:
            yield
        finally:
            self.is_reserved = False

    def bytes(self) -> int:
        """Returns what all files of the visitor take."""
        return folder_bytes(self.folder)

    def forget(self, but: Path | None = None) -> None:
        """Removes every file (`but` one) and everything known of them."""
        self.upload, self.run, self.result = None, None, None
        self.preview, self.stills, self.settings = 0, (), {}
        empty_own_folder(self.folder, MARKER, keep=but)


class Visitors:
    """All visitors of a server.

    Args:
        root: Folder of their folders.
        keep: Seconds after which a visitor that was not seen is removed.
        limit: Visitors at once.
    """

    def __init__(self, root: Path, keep: float, limit: int):
        self.root, self.keep, self.limit = root, keep, limit
        self._known: dict[str, Visitor] = {}  # by the name of the folder
        self._lock = Lock()

    def find(self, secret: str | None) -> Visitor | None:
        """Returns the visitor with this secret, and notes that they were seen."""
        with self._lock:
            visitor = self._known.get(_folder_name(secret)) if secret else None
            if visitor is not None:
                visitor.seen = time.monotonic()
            return visitor

    def begin(self) -> tuple[str, Visitor]:
        """Returns a new visitor and their secret. Their folder is not there yet.

        Raises:
            Refusal: There are too many (503).
        """
        secret = secrets.token_urlsafe(32)
        name = _folder_name(secret)
        with self._lock:
            if len(self._known) >= self.limit:
                raise Refusal(503, "the server has too many visitors; try again later")
            visitor = self._known[name] = Visitor(self.root / name)
            return secret, visitor

    def make_folder(self, visitor: Visitor) -> None:
        """Creates the folder of a visitor, for this user alone."""
        make_own_folder(visitor.folder, MARKER)

    def remove(self, visitor: Visitor) -> None:
        """Forgets a visitor and removes the folder."""
        with self._lock:
            self._known.pop(visitor.folder.name, None)
        remove_own_folder(visitor.folder, MARKER)

    def remove_old(self) -> None:
        """Removes visitors who were not seen for long and have nothing under way."""
        before = time.monotonic() - self.keep
        with self._lock:  # no request finds one of them from here on
            old = [v for v in self._known.values() if v.seen < before and not v.is_active]
            for visitor in old:
                del self._known[visitor.folder.name]
        for visitor in old:
            remove_own_folder(visitor.folder, MARKER)

    def remove_all(self) -> None:
        """Removes every visitor."""
        for visitor in self:
            self.remove(visitor)

    def __iter__(self) -> Iterator[Visitor]:
        with self._lock:
            return iter(list(self._known.values()))


def _folder_name(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()[:32]
