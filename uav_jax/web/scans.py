"""Threads that read uploads: what they are, what a run would take, single frames."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from uav_jax.web.refusals import Refusal

Value = TypeVar("Value")


class ScanPool:
    """A few threads of their own with a limited queue, so that a slow file delays no request.

    Args:
        threads: That read at once.
        queued: Calls that may wait for a thread.
    """

    def __init__(self, threads: int, queued: int):
        self._limit = threads + queued
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="scan")
        self._pending, self._lock = 0, Lock()

    async def run(self, call: Callable[[], Value]) -> Value:
        """Calls a function on one of the threads and returns its value.

        Raises:
            Refusal: Too many calls wait already (503).
        """
        with self._lock:
            if self._pending >= self._limit:
                raise Refusal(503, "the server is reading other videos; try again in a moment")
            self._pending += 1
        try:
            future = self._pool.submit(call)
        except BaseException:
            self._end()
            raise
        future.add_done_callback(self._end)  # when the thread is free, not when nobody waits
        return await asyncio.wrap_future(future)

    def _end(self, _: Future | None = None) -> None:
        with self._lock:
            self._pending -= 1

    def close(self) -> None:
        """Drops the calls that wait; those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
