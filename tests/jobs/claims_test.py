"""Claims: one owner at a time, whoever comes, dies or comes back."""

import json
import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from uav_jax.jobs import claims
from uav_jax.jobs.claims import take


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_claim_excludes_others_until_it_is_given_back(tmp_path):
    with take(tmp_path, "a.mp4"):
        assert take(tmp_path, "a.mp4") is None
        assert take(tmp_path, "b.mp4") is not None
    with take(tmp_path, "a.mp4"):
        pass
    assert names(tmp_path) == [".b.mp4.claim.1"]


def claim_and_die(folder):
    assert take(folder, "a.mp4")
    os._exit(1)


def test_the_claim_of_a_dead_process_is_taken_over_and_cleaned_up(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=claim_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert names(tmp_path) == [".a.mp4.claim.1"]
    with take(tmp_path, "a.mp4"):
        assert names(tmp_path) == [".a.mp4.claim.1", ".a.mp4.claim.2"]
    assert names(tmp_path) == []


def test_the_claim_of_a_dead_process_that_nobody_has_waited_for_is_dead(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=claim_and_die, args=(tmp_path,))
    process.start()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with take(tmp_path, "a.mp4") as claim:
        assert claim
    process.join()
    assert names(tmp_path) == []


def test_a_process_that_was_given_the_same_number_later_does_not_revive_a_claim(tmp_path):
    owner = {"host": claims.socket.gethostname(), "process": os.getpid(), "started": "1"}
    (tmp_path / ".a.claim.1").write_text(json.dumps(owner))
    assert take(tmp_path, "a") is not None


def test_another_hosts_claim_dies_when_it_is_no_longer_touched(tmp_path):
    path = tmp_path / ".a.claim.1"
    path.write_text(json.dumps({"host": "elsewhere", "process": 1, "started": "1"}))
    assert take(tmp_path, "a") is None
    long_ago = time.time() - claims.DEAD_SECONDS - 1
    os.utime(path, (long_ago, long_ago))
    assert take(tmp_path, "a") is not None


def test_an_owner_keeps_touching_its_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "TOUCH_SECONDS", 0.05)
    path = tmp_path / ".a.claim.1"
    with take(tmp_path, "a"):
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 5
        while path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > 2


@pytest.mark.parametrize(
    "content",
    [
        '["host", "process", "started"]',
        "[" * 100_000,
        '{"host": 1, "process": "../..", "started": []}',
        '{"host": "x", "process": 1e999, "started": null}',
        "NaN",
        "9" * 5000,
        "\udcff",
    ],
)
def test_a_file_that_is_no_claim_stands_in_nobody_s_way(tmp_path, content):
    path = tmp_path / ".a.claim.1"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with take(tmp_path, "a"):
        pass
    assert names(tmp_path) == [".a.claim.1"], "what is not ours is left alone"


def test_a_claim_that_was_cut_is_dead_after_a_while(tmp_path):
    (tmp_path / ".a.claim.1").touch()
    assert take(tmp_path, "a") is None
    os.utime(tmp_path / ".a.claim.1", (1, 1))
    with take(tmp_path, "a"):
        pass
    assert names(tmp_path) == []


def test_pipes_folders_and_endless_numbers_are_no_claims(tmp_path):
    os.mkfifo(tmp_path / ".a.claim.1")
    (tmp_path / ".a.claim.2").mkdir()
    (tmp_path / f".a.claim.{'9' * 200}").touch()
    with take(tmp_path, "a"):
        assert (tmp_path / ".a.claim.3").is_file()


def test_whoever_took_over_gives_way_to_one_who_lives(tmp_path, monkeypatch):
    """A dead claim was seen, but another began under the same number before ours was made."""
    path = tmp_path / ".a.claim.1"
    path.write_text(json.dumps({"host": claims.socket.gethostname(), "process": 0, "started": ""}))
    real, asked = claims._alive, []

    def alive(claim):
        asked.append(claim)
        return False if len(asked) == 1 else real(claim)

    living = {"process": os.getpid(), "started": claims._started(os.getpid())}
    path.write_text(json.dumps({"host": claims.socket.gethostname(), **living}))
    monkeypatch.setattr(claims, "_alive", alive)
    assert take(tmp_path, "a") is None
    assert names(tmp_path) == [".a.claim.1"]


WORKER = """
import sys, time
from pathlib import Path
from uav_jax.jobs.claims import take
folder = Path(sys.argv[1])
for number in range(40):
    claim = take(folder, f"v{number}")
    if claim is None:
        continue
    with claim:
        if not (folder / f"v{number}").exists():
            with (folder / f"v{number}.log").open("a") as log:
                log.write("x")
            time.sleep(0.002)
            (folder / f"v{number}").touch()
"""


@pytest.mark.parametrize("attempt", range(2))
def test_processes_that_race_do_everything_once(tmp_path, attempt):
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [subprocess.Popen(command) for _ in range(4)]
    assert [w.wait() for w in workers] == [0] * 4
    for number in range(40):
        assert (tmp_path / f"v{number}.log").read_text() == "x"
