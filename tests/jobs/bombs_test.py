"""Small files that ask for much are refused in two seconds and 300 MB, whoever reads them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.clips import make_video, smooth_frames
from tests.video.bombs import FILES, UPLOADS, make_bombs

SECONDS, MEGABYTES = 2.0, 300.0
"""Of processor time, which does not depend on what else a machine does."""
WAYS = ("infer", "train", "evaluate", "page")


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    """What each way of reading made of each file, by a process that has read harmless ones."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux to measure memory")
    folder = tmp_path_factory.mktemp("bombs")
    Image.new("RGB", (64, 48)).save(folder / "harmless.png")
    harmless = make_video(folder / "harmless.mp4", smooth_frames(9, 48, 64), range(9))
    paths = [harmless, folder / "harmless.png", *make_bombs(folder)]
    command = [sys.executable, "-m", "tests.jobs.bomb_reader", *map(str, paths)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {(line["file"], line["way"]): line for line in lines}


@pytest.mark.parametrize("way", WAYS)
def test_harmless_files_are_read(readings, way):
    assert readings["harmless.mp4", way]["refused"] is None
    assert readings["harmless.png", way]["refused"] is None


CASES = [(name, way) for name in FILES for way in WAYS] + [(name, "page") for name in UPLOADS]


@pytest.mark.parametrize("name, way", CASES)
def test_files_that_ask_for_much_are_refused_soon_and_in_little_memory(readings, name, way):
    reading = readings[name, way]
    message = reading["refused"]
    assert message and name in message and len(message.splitlines()) == 1
    assert reading["seconds"] < SECONDS
    assert reading["megabytes"] < MEGABYTES


def test_the_option_is_named_where_a_limit_was_the_reason(readings):
    named = {name for name in FILES if "--no_limits" in readings[name, "infer"]["refused"]}
    assert set(FILES) - named == {"streams.ogv", "text.png", "profile.png"}
    assert not any("_limits" in readings[name, "page"]["refused"].lower() for name in FILES)
