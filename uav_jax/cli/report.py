"""What the program says: bars on a terminal, lines in a file, and a log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from uav_jax.jobs.outputs import Sources
from uav_jax.video.containers import VIDEO_SUFFIXES, shown
from uav_jax.video.images import IMAGE_SUFFIXES

LINE_SECONDS = 30
"""Between two lines of progress where there is no terminal."""


class Reporter:
    """Prints lines and progress to a console and, if there is one, to a log file."""

    def __init__(self, console: Console, *, quiet: bool = False):
        self.console, self.quiet = console, quiet
        self._log: IO[str] | None = None
        self._name, self._last = "", time.monotonic()
        self._bars: Progress | None = None
        self._tasks: dict = {}

    def open_log(self, path: Path, sources: Sources) -> None:
        """Opens a file that every line is appended to.

        Raises:
            ValueError: It is an input, has the name of a video or image, or cannot be written.
        """
        if path.suffix.lower() in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES, ".json"):
            raise ValueError(
                f"log {shown(path)} has the name of a video or image; give a .log file"
            )
        sources.check(path)
        try:
            self._log = path.open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ValueError(f"log {shown(path)} cannot be written: {error.strerror}") from error

    def say(self, text: str, *, style: str | None = None) -> None:
        """Prints a line. File names in it are never taken for markup."""
        if not self.quiet or style == "red":
            self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        if self._log is not None:
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
            self._log.flush()

    def begin(self, path: Path) -> None:
        """Notes whose progress comes next."""
        self._name = shown(path.name)
        if self._bars is not None:
            for task in self._tasks.values():
                self._bars.remove_task(task)
        self._tasks = {}

    @contextmanager
    def bars(self) -> Iterator[None]:
        """Draws progress bars while the block runs, where there is a terminal."""
        drawn = self.console.is_terminal and not self.quiet
        columns = (
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Progress(*columns, console=self.console, disable=not drawn) as self._bars:
            yield
        self._bars, self._tasks = None, {}

    def progress(self, phase: str, done: int, total: int) -> None:
        """Shows how far a phase is; a phase without numbers is a message."""
        name = f"{self._name}: " if self._name else ""
        if not done and not total:
            self.say(f"{name}{phase}")
            return
        if self._bars is not None and not self._bars.disable:
            if phase not in self._tasks:
                self._tasks[phase] = self._bars.add_task(escape(phase), total=total or None)
            self._bars.update(self._tasks[phase], completed=done, total=total or None)
            return
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self.say(f"{name}{phase} {done}/{total or '?'}")

    def close(self) -> None:
        """Closes the log."""
        if self._log is not None:
            self._log.close()
