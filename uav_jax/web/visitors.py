"""Who is there, and the files of each: known by a secret in a cookie, gone after a time.

A visitor's folder is named by a hash of the secret, so that neither a listing of folders nor a log
line lets anybody in.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from uav_jax.runtime.files import empty_own_folder, make_own_folder, remove_own_folder
from uav_jax.video.source import SourceInfo
from uav_jax.web.queue import Run

MARKER = ".visitor"
"""File in the folders that this server made, and may remove."""


@dataclass(slots=True)
class Upload:
    """A video that a visitor brought. ``name`` is only shown and never part of a path."""

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

    def forget(self, but: Path | None = None) -> None:
        """Removes every file (``but`` one) and everything known of them."""
        empty_own_folder(self.folder, MARKER, keep=but)
        self.upload, self.run, self.result = None, None, None
        self.preview, self.stills, self.settings = 0, (), {}


class Visitors:
    """All visitors of a server, under ``root``; those unseen for ``keep`` seconds are removed."""

    def __init__(self, root: Path, keep: float):
        self.root, self.keep = root, keep
        self._known: dict[str, Visitor] = {}
        self._lock = Lock()

    def of(self, secret: str | None) -> tuple[str, Visitor]:
        """The visitor with this secret; where there is none, a new one with a new secret."""
        with self._lock:
            if secret is None or secret not in self._known:
                secret = secrets.token_urlsafe(32)
                folder = self.root / hashlib.sha256(secret.encode()).hexdigest()[:32]
                make_own_folder(folder, MARKER)  # for this user alone
                self._known[secret] = Visitor(folder)
            visitor = self._known[secret]
            visitor.seen = time.monotonic()
            return secret, visitor

    def remove_old(self) -> None:
        """Removes visitors who were not seen for long and have nothing running."""
        with self._lock:
            for secret, visitor in list(self._known.items()):
                idle = time.monotonic() - visitor.seen > self.keep
                if idle and not (visitor.run and visitor.run.is_active):
                    remove_own_folder(visitor.folder, MARKER)
                    del self._known[secret]

    def __iter__(self) -> Iterator[Visitor]:
        with self._lock:
            return iter(list(self._known.values()))
