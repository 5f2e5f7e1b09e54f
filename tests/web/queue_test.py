"""The line: order, turns, cancelling, and that nothing brings it down."""

import threading
import time

import pytest

from uav_jax.web.queue import Queue, Run


@pytest.fixture
def queue():
    queue = Queue(turn=0.02)
    yield queue
    queue.close()


def wait(run, *states):
    deadline = time.monotonic() + 20
    while run.state not in states:
        assert time.monotonic() < deadline, f"still {run.state}"
        time.sleep(0.005)


def test_runs_are_done_in_the_order_they_came(queue):
    done, gate = [], threading.Event()
    runs = [Run("video", lambda run, n=n: (gate.wait(5), done.append(n))[1]) for n in range(5)]
    for run in runs:
        queue.add(run)
    wait(runs[0], "running")
    assert [queue.place(run) for run in runs] == [0, 0, 1, 2, 3]
    gate.set()
    wait(runs[-1], "done")
    assert done == [0, 1, 2, 3, 4]


def test_a_long_run_lets_others_go_first_and_goes_on(queue):
    order, begun = [], threading.Event()
    finished: set[int] = set()

    def long(run):
        for part in range(4):
            if part in finished:
                continue
            begun.set()
            run.pause()
            time.sleep(0.05)
            order.append(f"long {part}")
            finished.add(part)

    first, second = Run("video", long), Run("preview", lambda run: order.append("short"))
    queue.add(first)
    begun.wait(5)
    queue.add(second)
    wait(first, "done")
    assert order.index("short") < 3
    assert [o for o in order if o != "short"] == [f"long {n}" for n in range(4)]


def test_waiting_and_running_runs_can_be_cancelled(queue):
    def forever(run):
        while True:
            run.progress("denoising", 1, 2)
            time.sleep(0.01)

    running, waiting = Run("video", forever), Run("video", forever)
    queue.add(running)
    queue.add(waiting)
    wait(running, "running")
    queue.cancel(waiting)
    assert waiting.state == "cancelled"
    queue.cancel(running)
    wait(running, "cancelled")
    assert running.phases == {"denoising": (1, 2)}


def test_a_run_that_fails_says_why_and_the_next_one_is_done(queue, caplog):
    def wrong(run):
        raise ValueError("frame 3 is purple")

    def broken(run):
        raise RuntimeError("secret detail")

    runs = [Run("video", wrong), Run("video", broken), Run("video", lambda run: None)]
    for run in runs:
        queue.add(run)
    wait(runs[2], "done")
    assert (runs[0].state, runs[0].message) == ("failed", "frame 3 is purple")
    assert runs[1].state == "failed" and "secret" not in runs[1].message
    assert "secret detail" in caplog.text
