"""Reading uploads: on a few threads of its own, with a limited queue."""

import asyncio
import threading
import time

import pytest

from uav_jax.web.refusals import Refusal
from uav_jax.web.scans import ScanPool


@pytest.fixture
def pool():
    pool = ScanPool(threads=2, queued=3)
    yield pool
    pool.close()


def test_two_calls_at_once_on_threads_of_their_own(pool):
    running, most, names = set(), [], set()

    def call():
        running.add(threading.get_ident())
        most.append(len(running))
        names.add(threading.current_thread().name[:4])
        time.sleep(0.02)
        running.discard(threading.get_ident())

    async def several():
        await asyncio.gather(*(pool.run(call) for _ in range(5)))

    asyncio.run(several())
    assert max(most) == 2 and names == {"scan"}


def test_more_than_the_queue_holds_are_refused_and_later_ones_are_not(pool):
    gate = threading.Event()

    async def several():
        calls = [asyncio.create_task(pool.run(lambda: gate.wait(10))) for _ in range(7)]
        await asyncio.sleep(0.05)
        refused = [c for c in calls if c.done()]
        assert len(refused) == 2
        for call in refused:
            with pytest.raises(Refusal, match="reading other videos"):
                await call
        gate.set()
        await asyncio.gather(*(c for c in calls if c not in refused))
        assert await pool.run(lambda: 3) == 3

    asyncio.run(several())


def test_a_call_that_nobody_waits_for_still_counts(pool):
    """Visitors who leave do not make room for more readers than there are threads."""
    gate = threading.Event()

    async def several():
        calls = [asyncio.create_task(pool.run(lambda: gate.wait(10))) for _ in range(2)]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        waiting = [asyncio.create_task(pool.run(lambda: gate.wait(10))) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal):
            await pool.run(lambda: None)
        gate.set()
        await asyncio.gather(*waiting)

    asyncio.run(several())


def test_errors_reach_the_caller(pool):
    def wrong():
        raise ValueError("no frame")

    with pytest.raises(ValueError, match="no frame"):
        asyncio.run(pool.run(wrong))
