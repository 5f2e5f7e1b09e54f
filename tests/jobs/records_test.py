"""Records, markers and summaries that were cut or changed: said in one line, or made anew."""

import json
import os
import time

import pytest

from tests.clips import make_video, smooth_frames
from tests.jobs.journal_test import DAMAGE, write
from uav_jax.jobs.folder import summary_path
from uav_jax.jobs.outputs import (
    FRAMES_MARKER,
    Outputs,
    check_outputs,
    is_result,
    publish_frames,
    read_record,
    results_in,
)

MARKERS = {
    "huge": "1" + "0" * 18,
    "endless": "9" * 5000,
    "negative": "-3",
    "text": "many",
    "nothing": "",
    "another encoding": b"\xff",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_named_and_nothing_is_written(infer, tmp_path, damage):
    make_video(tmp_path / "a.mp4", smooth_frames(2, 8, 8), range(2))
    write(tmp_path / "r.mp4.json", damage)
    said = infer("-i", tmp_path / "a.mp4", "-o", tmp_path / "r.mp4")
    assert said.status == 2 and "r.mp4.json exists and was not written by this program" in said.last
    assert not (tmp_path / "r.mp4").exists()


@pytest.mark.parametrize(
    "values",
    [
        {"key_sha256": 3, "outputs": []},
        {"key_sha256": "x", "outputs": {"a": 1}},
        {"key_sha256": "x", "outputs": [["a"]]},
        {"key_sha256": "x"},
    ],
)
def test_records_with_values_of_another_kind_are_not_ours(tmp_path, values):
    (tmp_path / "a.mp4.json").write_text(json.dumps(values))
    assert read_record(tmp_path / "a.mp4") is None and results_in(tmp_path) == set()


def test_a_record_of_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "a.mp4.json"
    path.touch()
    os.truncate(path, 2**34)
    started = time.monotonic()
    assert read_record(tmp_path / "a.mp4") is None
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_summary_is_named(tmp_path, damage):
    write(tmp_path / "summary.json", damage)
    with pytest.raises(ValueError, match="exists and was not written by this program; move it"):
        summary_path(tmp_path)


def test_a_summary_that_is_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "summary.json")
    with pytest.raises(ValueError, match="was not written by this program"):
        summary_path(tmp_path)


@pytest.mark.parametrize("marker", MARKERS.values(), ids=MARKERS)
def test_a_damaged_marker_costs_no_time_and_no_file(tmp_path, marker):
    folder = tmp_path / "shot"
    folder.mkdir()
    for name in ("0001.png", "00001.png", "1.png", "0002.png", "mine.txt"):
        (folder / name).touch()
    write(folder / FRAMES_MARKER, marker)
    record = {"key_sha256": "x", "outputs": ["shot"]}
    (tmp_path / "shot.json").write_text(json.dumps(record))
    started = time.monotonic()
    with pytest.raises(ValueError, match="shot"):
        check_outputs(Outputs(target=folder), [], overwrite=True)
    is_result(folder)
    made = tmp_path / "made"
    made.mkdir()
    (made / "0001.png").write_text("new")
    publish_frames(made, folder, 1)
    assert time.monotonic() - started < 1
    kept = {"0001.png", "00001.png", "1.png", "mine.txt", FRAMES_MARKER}
    assert {p.name for p in folder.iterdir()} - {"0002.png"} == kept
    assert (folder / "0001.png").read_text() == "new"


def test_a_marker_that_is_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / FRAMES_MARKER)
    assert not is_result(tmp_path)
