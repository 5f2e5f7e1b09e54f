"""Making and using at the same time, and that a failure on one side ends the other."""

import threading
import time

import pytest

from uav_jax.jobs.overlap import QUEUE_SIZE, ProducerFailed, consume_in_thread, prefetched


def test_items_arrive_in_order_and_are_made_while_others_are_used():
    made, used = [], []

    def items():
        for n in range(20):
            made.append((n, len(used)))
            yield n

    def consume(items):
        for n in items:
            time.sleep(0.002)
            used.append(n)

    consume_in_thread(consume, items())
    assert used == list(range(20))
    assert any(n > already for n, already in made), "nothing was made ahead"
    assert all(n - already <= QUEUE_SIZE + 2 for n, already in made), "too much was made ahead"


def test_a_failure_of_the_maker_abandons_the_user():
    seen = []

    def items():
        yield 1
        raise KeyboardInterrupt

    def consume(items):
        try:
            seen.extend(items)
        except ProducerFailed:
            seen.append("abandoned")
            raise

    with pytest.raises(KeyboardInterrupt):
        consume_in_thread(consume, items())
    assert seen == ["abandoned"] or seen == [1, "abandoned"]
    assert not [t for t in threading.enumerate() if t.name.startswith("write")]


@pytest.mark.parametrize("after", [0, 3])
def test_a_failure_of_the_user_stops_the_maker(after):
    made = []

    def items():
        for n in range(1000):
            made.append(n)
            yield n

    def consume(items):
        for number, _ in enumerate(items):
            if number == after:
                raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        consume_in_thread(consume, items())
    assert len(made) < 1000


def test_one_value_is_made_ahead_and_failures_come_where_they_belong():
    begun, used = [], []

    def call(n):
        begun.append(n)
        if n == 3:
            raise ValueError("three")
        return n

    def calls():
        for n in range(6):
            yield lambda n=n: call(n)

    with pytest.raises(ValueError, match="three"):
        for value in prefetched(calls()):
            time.sleep(0.01)
            used.append(value)
            assert len(begun) <= value + 2
    assert used == [0, 1, 2]
    assert list(prefetched([])) == []
