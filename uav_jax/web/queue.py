"""The runs of all visitors on one machine, one computing at a time, in turns.

A run that has had its turn while others wait stops after its segment, goes to the end of the queue
and later resumes from its journal. Where a segment takes longer than a turn, the run is suspended
inside of it: its thread stops and keeps its memory. Only so many videos may be in memory at once;
previews are small and always get their turn.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Literal

from uav_jax.web.refusals import Refusal, message_of

State = Literal["waiting", "running", "done", "failed", "cancelled"]

TURN = 60.0
"""Seconds after which a run lets others go first."""

QUEUE_LIMIT = 32
"""Runs that may wait."""

VIDEOS_IN_MEMORY = 2
"""Videos that are computed or suspended inside a segment."""

CLOSE_SECONDS = 20.0
"""For runs to end when the server stops."""


class Cancelled(Exception):
    """The visitor does not want the run any more, or the server stops."""


class TurnOver(Exception):
    """Others wait: the run resumes later."""


@dataclass(eq=False, slots=True)
class Run:
    """Something to compute: `work(run)` calls `run.progress` and `run.pause` as it advances."""

    kind: Literal["preview", "video"]
    work: Callable[["Run"], None]
    state: State = "waiting"
    message: str = ""  # why it failed
    phases: dict[str, tuple[int, int]] = field(default_factory=dict)  # done, of how many
    seconds: float = 0.0  # spent computing
    wanted: bool = True  # False: to be cancelled
    _queue: "Queue | None" = None
    _thread: Thread | None = None  # while it is in memory
    _turn_start: float = 0.0

    @property
    def is_active(self) -> bool:
        """Whether it is waiting or running."""
        return self.state in ("waiting", "running")

    def progress(self, phase: str, done: int, total: int) -> None:
        """Notes how far it is, and lets others go first inside a segment.

        Raises:
            Cancelled: It is not wanted any more.
        """
        if total:
            self.phases[phase] = done, total
        self._check(between_segments=False)

    def pause(self) -> None:
        """Lets others go first where a segment is finished.

        Raises:
            Cancelled: It is not wanted any more.
            TurnOver: Others wait, and it is to resume from its journal.
        """
        self._check(between_segments=True)

    def _check(self, *, between_segments: bool) -> None:
        if not self.wanted:
            raise Cancelled
        if self._queue is not None:
            self._queue.yield_turn(self, between_segments)


class Queue:
    """Runs in the order in which they came, each on a thread of its own, one computing at a time.

    Args:
        turn: Seconds after which a run lets others go first.
        limit: Runs that may wait.
        videos_in_memory: Videos that are computed or suspended.
    """

    def __init__(
        self,
        turn: float = TURN,
        limit: int = QUEUE_LIMIT,
        videos_in_memory: int = VIDEOS_IN_MEMORY,
    ):
        self._turn, self._limit, self._videos = turn, limit, videos_in_memory
        self._waiting: deque[Run] = deque()
        self._in_memory: list[Run] = []
        self._current: Run | None = None
        self._changed = Condition()
        self._is_open = True

    def add(self, run: Run) -> None:
        """Puts a run at the end of the queue.

        Raises:
            Refusal: The queue is full, or the server stops (503).
        """
        with self._changed:
            if not self._is_open:
                raise Refusal(503, "the server stops")
            if len(self._waiting) >= self._limit:
                raise Refusal(503, f"{self._limit} runs are waiting already; try again later")
            run._queue = self
            self._waiting.append(run)
            self._start_next()

    def position(self, run: Run) -> int:
        """Returns how many runs are waiting before this one."""
        with self._changed:
            return self._waiting.index(run) if run in self._waiting else 0

    def cancel(self, run: Run) -> None:
        """Takes a run out of the queue, or stops it at its next step."""
        with self._changed:
            run.wanted = False
            if run in self._waiting and run._thread is None:
                self._waiting.remove(run)
                run.state = "cancelled"
            self._changed.notify_all()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Cancels every run, starts no more, and waits for those in memory.

        Args:
            seconds: To wait at most.
        """
        with self._changed:
            self._is_open = False
            for run in (*self._waiting, *self._in_memory):
                run.wanted = False
                if run._thread is None:
                    run.state = "cancelled"
            self._waiting.clear()
            self._changed.notify_all()
            threads = [run._thread for run in self._in_memory if run._thread is not None]
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def yield_turn(self, run: Run, between_segments: bool) -> None:
        """Lets others go first where the turn of the current run is over.

        Args:
            run: The run whose thread calls.
            between_segments: Whether it can leave memory and resume from its journal.

        Raises:
            Cancelled: It was cancelled while it was suspended.
            TurnOver: It is to leave memory.
        """
        with self._changed:
            if time.monotonic() - run._turn_start <= self._turn:
                return
            if between_segments and self._waiting:
                raise TurnOver
            if any(self._can_start(other) for other in self._waiting):
                self._suspend(run)

    def _suspend(self, run: Run) -> None:
        """Waits at the end of the queue, in memory. The lock is held."""
        run.seconds += time.monotonic() - run._turn_start
        run.state = "waiting"
        self._waiting.append(run)
        self._current = None
        self._start_next()
        self._changed.wait_for(lambda: self._current is run or not run.wanted)
        if not run.wanted:
            if run in self._waiting:
                self._waiting.remove(run)
            raise Cancelled

    def _can_start(self, run: Run) -> bool:
        """Whether a waiting run fits into memory."""
        videos = sum(other.kind == "video" for other in self._in_memory)
        return run._thread is not None or run.kind == "preview" or videos < self._videos

    def _start_next(self) -> None:
        """Starts or resumes the first waiting run that fits, if none computes. The lock is held."""
        run = next(filter(self._can_start, self._waiting), None)
        if self._current is not None or run is None or not self._is_open:
            return
        self._waiting.remove(run)
        self._current = run
        run.state, run._turn_start = "running", time.monotonic()
        if run._thread is None:
            run._thread = Thread(target=self._compute, args=(run,), name="run", daemon=True)
            self._in_memory.append(run)
            run._thread.start()
        self._changed.notify_all()

    def _compute(self, run: Run) -> None:
        """Does a run's work and starts the next one. The body of a run's thread."""
        state, message = self._outcome(run)
        with self._changed:
            self._in_memory.remove(run)
            run._thread = None
            if self._current is run:
                run.seconds += time.monotonic() - run._turn_start
                self._current = None
            if state == "waiting" and not run.wanted:
                state = "cancelled"
            run.message, run.state = message, state
            if state == "waiting":
                self._waiting.append(run)
            self._start_next()

    def _outcome(self, run: Run) -> tuple[State, str]:
        """Does a run's work; returns its next state and why it failed."""
        try:
            run.work(run)
        except TurnOver:
            return "waiting", ""
        except Cancelled:
            return "cancelled", ""
        except (ValueError, OSError, MemoryError) as error:
            return "failed", message_of(error)
        except Exception:  # the server continues, whatever one video does to it
            logging.getLogger(__name__).exception("a run failed")
            return "failed", "internal error; the server's log says what"
        return "done", ""
