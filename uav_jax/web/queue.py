"""The runs of all visitors on one machine, one at a time, in turns.

A visitor has one run at a time. One that has had its turn while others wait stops at its next
segment, goes to the end of the line, and later goes on from there.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Literal

State = Literal["waiting", "running", "done", "failed", "cancelled"]

TURN = 60.0
"""Seconds after which a run lets others go first."""


class Cancelled(Exception):
    """The visitor does not want it any more."""


class TurnOver(Exception):
    """Others wait: the run goes on later."""


@dataclass(eq=False, slots=True)
class Run:
    """Something to compute: ``work(run)`` calls ``run.progress`` and ``run.pause`` as it goes."""

    kind: Literal["preview", "video"]
    work: Callable[["Run"], None]
    state: State = "waiting"
    message: str = ""  # why it failed
    phases: dict[str, tuple[int, int]] = field(default_factory=dict)  # what is done, of how much
    seconds: float = 0.0  # that it has run
    wanted: bool = True  # False: to be cancelled
    _pause: Callable[[], None] | None = None

    @property
    def is_active(self) -> bool:
        """Whether it is waiting or running."""
        return self.state in ("waiting", "running")

    def progress(self, phase: str, done: int, total: int) -> None:
        """Notes how far it is; raises ``Cancelled`` where it is not wanted any more."""
        if total:
            self.phases[phase] = done, total
        if not self.wanted:
            raise Cancelled

    def pause(self) -> None:
        """A good moment to let others go first."""
        self.progress("", 0, 0)
        if self._pause:
            self._pause()


class Queue:
    """Runs in the order they came, on a thread of its own."""

    def __init__(self, turn: float = TURN):
        self._turn = turn
        self._waiting: deque[Run] = deque()
        self._changed = Condition()
        self._open = True
        self._thread = Thread(target=self._serve, name="runs", daemon=True)
        self._thread.start()

    def add(self, run: Run) -> None:
        """Puts a run at the end of the line."""
        with self._changed:
            self._waiting.append(run)
            self._changed.notify()

    def place(self, run: Run) -> int:
        """How many runs are waiting before this one."""
        with self._changed:
            return self._waiting.index(run) if run in self._waiting else 0

    def cancel(self, run: Run) -> None:
        """Takes a run out of the line, or stops it at its next step."""
        run.wanted = False
        with self._changed:
            if run in self._waiting:
                self._waiting.remove(run)
                run.state = "cancelled"

    def close(self) -> None:
        """Cancels what is running, starts nothing more and waits for the thread."""
        with self._changed:
            self._open = False
            for run in self._waiting:
                run.state = "cancelled"
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(timeout=60)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._open)
                if not self._open:
                    return
                run = self._waiting.popleft()
                run.state = "running"
            self._one(run)

    def _one(self, run: Run) -> None:
        started = time.monotonic()

        def others_first() -> None:
            if not self._open:
                raise Cancelled
            if self._waiting and time.monotonic() - started > self._turn:
                raise TurnOver

        run._pause = others_first
        try:
            run.work(run)
            run.state = "done"
        except TurnOver:
            run.state = "waiting"
            self.add(run)
        except Cancelled:
            run.state = "cancelled"
        except (ValueError, OSError, MemoryError) as error:
            run.state, run.message = "failed", str(error)
        except Exception:  # the server lives on, whatever one video does to it
            logging.getLogger(__name__).exception("a run failed")
            run.state, run.message = "failed", "something went wrong; the server's log says what"
        finally:
            run.seconds += time.monotonic() - started
