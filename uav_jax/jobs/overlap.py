"""Reading, computing and writing at the same time, so that a device does not wait for a codec."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Full, Queue
from typing import Any, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

QUEUE_SIZE = 6
"""Finished frames that wait to be written."""

LOOK_SECONDS = 0.2
"""Between two looks at whether the other side still lives."""

_END, _STOP = object(), object()


class ProducerFailed(Exception):
    """The producer failed; no more items follow."""


def consume_in_thread(consume: Callable[[Iterator[Item]], None], items: Iterable[Item]) -> None:
    """``consume(items)`` on a thread of its own, while the next items are made here.

    What fails on either side ends both: ``consume`` then gets ``ProducerFailed`` from its iterator.
    """
    handed: Queue = Queue(QUEUE_SIZE)
    with ThreadPoolExecutor(1, thread_name_prefix="write") as pool:
        done = pool.submit(consume, _taken(handed))
        last = _STOP
        try:
            for item in items:
                if not _handed_over(handed, item, done):
                    break
            last = _END
        finally:
            _handed_over(handed, last, done)
    done.result()


def _taken(handed: Queue) -> Iterator[Any]:
    while (item := handed.get()) is not _END:
        if item is _STOP:
            raise ProducerFailed
        yield item


def _handed_over(handed: Queue, item: object, done: Future) -> bool:
    """Puts an item into the queue; False where nobody takes it any more."""
    while not done.done():
        try:
            handed.put(item, timeout=LOOK_SECONDS)
            return True
        except Full:
            continue
    return False


def prefetched(calls: Iterable[Callable[[], Value]]) -> Iterator[Value]:
    """The calls' values in order, the next one made on a thread while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        coming = None
        for call in calls:
            before, coming = coming, pool.submit(call)
            if before is not None:
                yield before.result()
        if coming is not None:
            yield coming.result()
