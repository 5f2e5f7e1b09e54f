"""A run killed with SIGKILL at random steps ends with the bytes of an uninterrupted one."""

import os
import random
import subprocess
import sys
import time

import pytest

from tests.training.tiny import write_data

STEPS = 20


def start(folder, workdir, cache):
    command = [sys.executable, "-m", "tests.training.tiny", folder, workdir, STEPS, "{}"]
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }
    return subprocess.Popen(
        [str(c) for c in command], env=environment, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]


def steps_written(workdir):
    path = workdir / "metrics.jsonl"
    return path.read_text().count("\n") if path.is_file() else 0


def kill_and_compare(kills, tmp_path):
    write_data(tmp_path)
    straight, killed, cache = (tmp_path / name for name in ("straight", "killed", "cache"))
    finish(start(tmp_path, straight, cache))
    for _ in range(kills):
        process = start(tmp_path, killed, cache)
        last = steps_written(killed) + random.randrange(1, STEPS // 2)
        while process.poll() is None and steps_written(killed) < min(last, STEPS - 1):
            time.sleep(0.005)
        process.kill()
        process.communicate()
    finish(start(tmp_path, killed, cache))
    ours, expected = ((run / "network.safetensors").read_bytes() for run in (killed, straight))
    assert ours == expected
    assert steps_written(killed) == STEPS


def test_a_killed_run_ends_like_an_uninterrupted_one(tmp_path):
    kill_and_compare(1, tmp_path)


@pytest.mark.slow
def test_a_run_killed_four_times_ends_like_an_uninterrupted_one(tmp_path):
    kill_and_compare(4, tmp_path)
