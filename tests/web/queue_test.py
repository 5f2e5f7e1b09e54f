"""The queue: order, turns, limits, cancelling, and that nothing brings it down."""

import threading
import time

import pytest

from uav_jax.web.queue import Queue, Run
from uav_jax.web.refusals import Refusal


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
    assert [queue.position(run) for run in runs] == [0, 0, 1, 2, 3]
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


def test_others_go_first_inside_a_long_segment_and_nothing_is_done_twice(queue):
    """A run that never comes to the end of a segment is suspended where it is."""
    order, begun = [], threading.Event()

    def long(run):
        for step in range(6):
            begun.set()
            run.progress("denoising", step + 1, 6)
            time.sleep(0.02)
            order.append(step)

    first, second = Run("video", long), Run("preview", lambda run: order.append("preview"))
    queue.add(first)
    begun.wait(5)
    queue.add(second)
    wait(first, "done")
    assert order.index("preview") < 5
    assert [o for o in order if o != "preview"] == list(range(6))


def test_only_so_many_videos_are_in_memory_and_previews_do_not_wait_for_them(queue):
    gate, begun = threading.Event(), []

    def long(run):
        begun.append(run)
        while not gate.is_set():
            run.progress("denoising", 1, 2)
            time.sleep(0.005)

    videos = [Run("video", long) for _ in range(4)]
    for run in videos:
        queue.add(run)
    deadline = time.monotonic() + 10
    while len(begun) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.1)  # several turns
    preview = Run("preview", lambda run: None)
    queue.add(preview)
    wait(preview, "done")
    assert begun == videos[:2]
    gate.set()
    for run in videos:
        wait(run, "done")


def test_a_suspended_run_can_be_cancelled(queue):
    def forever(run):
        while True:
            run.progress("denoising", 1, 2)
            time.sleep(0.005)

    one, other = Run("video", forever), Run("video", forever)
    queue.add(one)
    queue.add(other)
    wait(other, "running")
    wait(one, "waiting", "running")
    for run in (one, other):
        queue.cancel(run)
    for run in (one, other):
        wait(run, "cancelled")


def test_a_full_queue_refuses_more():
    queue, gate = Queue(limit=2), threading.Event()
    try:
        runs = [Run("video", lambda run: gate.wait(10) and None) for _ in range(4)]
        for run in runs[:3]:  # one computes and two wait
            queue.add(run)
        with pytest.raises(Refusal, match="2 runs are waiting already"):
            queue.add(runs[3])
    finally:
        gate.set()
        queue.close()


def test_closing_cancels_the_running_and_the_waiting():
    queue = Queue()

    def forever(run):
        while True:
            run.progress("denoising", 1, 2)
            time.sleep(0.005)

    runs = [Run("video", forever) for _ in range(3)]
    for run in runs:
        queue.add(run)
    wait(runs[0], "running")
    start = time.monotonic()
    queue.close()
    assert time.monotonic() - start < 5
    assert {run.state for run in runs} == {"cancelled"}
    with pytest.raises(Refusal, match="the server stops"):
        queue.add(Run("video", forever))


def test_errors_of_the_system_name_no_file(queue):
    def full(run):
        raise OSError(28, "No space left on device", "/srv/secret/a.mp4")

    run = Run("video", full)
    queue.add(run)
    wait(run, "failed")
    assert run.message == "the server could not do that: No space left on device"
