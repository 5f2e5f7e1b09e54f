"""What identifies a result, what is recorded beside it, and which tiles a resumed run takes."""

import dataclasses
import errno
import json
import os

import jax
import pytest

from tests.clips import make_video, smooth_frames
from tests.stub import StubRunner, stub_upscaler
from uav_jax.jobs import journal as journal_module
from uav_jax.jobs import prepare as preparing
from uav_jax.jobs import video as module
from uav_jax.jobs.journal import Journal, journal_folder
from uav_jax.jobs.options import JobOptions
from uav_jax.jobs.outputs import read_record
from uav_jax.jobs.prepare import prepare
from uav_jax.jobs.video import run_job
from uav_jax.pipeline import plan as plan_module
from uav_jax.runtime.files import make_own_folder, remove_own_folder


def silent(*_):
    pass


@pytest.fixture
def upscaler(monkeypatch):
    monkeypatch.setattr(plan_module, "SEGMENT", 6)
    return stub_upscaler()


@pytest.fixture
def clip(tmp_path):
    return make_video(tmp_path / "clip.mkv", smooth_frames(20, 16, 24), range(20))


def job_of(upscaler, source, target, **settings):
    chosen = dataclasses.replace(upscaler.defaults, **settings)
    return prepare(upscaler, source, target, chosen, JobOptions(), silent)


def test_libraries_devices_and_names_are_no_part_of_the_key(upscaler, clip, tmp_path, monkeypatch):
    first = job_of(upscaler, clip, tmp_path / "out.mkv")
    renamed = clip.rename(tmp_path / "other.mkv")
    monkeypatch.setattr(preparing, "environment", lambda: {"versions": {"jax": "9"}, "device": "x"})
    second = job_of(upscaler, renamed, tmp_path / "out.mkv")
    assert first.record["versions"] != second.record["versions"]
    assert first.record["key_sha256"] == second.record["key_sha256"]
    other = job_of(upscaler, renamed, tmp_path / "out.mkv", seed=11)
    assert other.record["key_sha256"] != first.record["key_sha256"]


def test_a_result_of_another_version_is_already_there(upscaler, clip, tmp_path, monkeypatch):
    target = run_job(upscaler, job_of(upscaler, clip, tmp_path / "out.mkv"), silent)
    before = target.stat().st_mtime_ns
    monkeypatch.setattr(preparing, "environment", lambda: {"versions": {}, "device": "another"})
    job = job_of(upscaler, clip, target)
    assert job.is_done() and run_job(upscaler, job, silent) == target
    assert target.stat().st_mtime_ns == before


def stopped_after(count, monkeypatch, upscaler, job):
    """Runs a job and stops it like a kill once `count` segments are finished."""
    real, made = module.encode_segment, []

    def encode(path, frames, form):
        if len(made) == count:
            raise KeyboardInterrupt
        made.append(path)
        real(path, frames, form)

    with monkeypatch.context() as patch:
        patch.setattr(module, "encode_segment", encode)
        with pytest.raises(KeyboardInterrupt):
            run_job(upscaler, job, silent)


def test_a_journal_of_another_host_is_resumed_and_both_are_recorded(
    upscaler, clip, tmp_path, monkeypatch
):
    job = job_of(upscaler, clip, tmp_path / "out.mkv")
    for number, host in ((1, "first"), (2, "second")):
        monkeypatch.setattr(module, "environment", lambda host=host: {"device": host})
        stopped_after(number - (number == 2), monkeypatch, upscaler, job)
    monkeypatch.setattr(module, "environment", lambda: {"device": "second"})
    told = []
    run_job(upscaler, job, lambda *message: told.append(message[0]))
    assert "resuming after the last finished segment" in told
    record = read_record(job.target)
    assert record and record["environments"] == [{"device": "first"}, {"device": "second"}]


class Halving(StubRunner):
    """Runs out of memory in its second segment, as a device would."""

    def segment(self, frames, segment):
        if segment.start == 6:
            self.plan = self.plan.halved().halved()
        yield from super().segment(frames, segment)


def test_a_resumed_run_takes_the_tiles_that_were_halved(upscaler, clip, tmp_path, monkeypatch):
    layouts = []

    class Watched(Halving):
        def __init__(self, plan, progress):
            super().__init__(plan, progress)
            layouts.append((plan.tile, plan.rows_at_once))

    monkeypatch.setattr(
        upscaler, "runner", lambda plan, *_, progress: Watched(plan, progress), False
    )
    big = make_video(tmp_path / "big.mkv", smooth_frames(20, 96, 96), range(20))
    job = job_of(upscaler, big, tmp_path / "out.mkv")
    stopped_after(2, monkeypatch, upscaler, job)
    run_job(upscaler, job, silent)
    started, resumed = layouts
    halved = job.plan.halved().halved()
    assert started == (job.plan.tile, job.plan.rows_at_once)
    assert resumed == (halved.tile, halved.rows_at_once) != started


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


DAMAGE = {
    "nothing": "",
    "half an object": "{",
    "null": "null",
    "a list": "[]",
    "nested": "[" * 100_000,
    "other names": '{"tiles": 3, "sha256": "x"}',
    "not a number": '{"tiles": NaN}',
    "a huge number": '{"tiles": 1e999}',
    "thousands of digits": "9" * 5000,
    "another encoding": b'"\xff"',
}
"""What may be in a file that this program wrote."""


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_journal_begins_anew(upscaler, clip, tmp_path, monkeypatch, damage):
    job = job_of(upscaler, clip, tmp_path / "out.mkv")
    stopped_after(2, monkeypatch, upscaler, job)
    for name in ("key.json", "environments.json", "000000.json"):
        write(journal_folder(job.target) / name, damage)
    run_job(upscaler, job, silent)
    assert job.is_done() and not list(tmp_path.glob(".*"))


LAYOUTS = {
    "none": None,
    "a list": [1, 2, 3],
    "names missing": {"tile": 8},
    "more names": {"tile": 8, "context": 0, "rows_at_once": 1, "hard": True},
    "text": {"tile": "8", "context": 0, "rows_at_once": 1},
    "nothing wide": {"tile": 0, "context": 0, "rows_at_once": 1},
    "negative": {"tile": 8, "context": -9, "rows_at_once": 1},
    "a fraction": {"tile": 8.5, "context": 0, "rows_at_once": 1},
    "huge": {"tile": 8, "context": 0, "rows_at_once": 10**30},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_segment_whose_layout_is_damaged_is_computed_again(
    upscaler, clip, tmp_path, monkeypatch, layout
):
    job = job_of(upscaler, clip, tmp_path / "out.mkv")
    stopped_after(2, monkeypatch, upscaler, job)
    state = journal_folder(job.target) / "000001.json"
    values = json.loads(state.read_text())
    state.write_text(json.dumps(values | {"tiles": layout}))
    assert not Journal(job.target, job.key, {}).is_finished(1)
    run_job(upscaler, job, silent)
    assert job.is_done()


def test_a_segment_whose_carry_is_damaged_is_computed_again(tmp_path):
    journal = Journal(tmp_path / "out.mkv", {"key_sha256": "x"}, {})
    journal.segment(0).write_bytes(b"segment")
    journal.save_carry(0, 0, {0: jax.numpy.ones((2, 3))})
    journal.finish(0, {"tile": 8, "context": 0, "rows_at_once": 1})
    assert journal.is_finished(0)
    carry = journal.folder / "000000.npz"
    carry.write_bytes(carry.read_bytes()[:-30])
    assert not journal.is_finished(0)
    with pytest.raises(ValueError, match=r"000000\.npz is damaged; remove the folder"):
        journal.carry(0)


def test_a_pipe_in_the_place_of_a_journal_s_file_is_not_opened(tmp_path):
    journal = Journal(tmp_path / "out.mkv", {"key_sha256": "x"}, {})
    os.mkfifo(journal.folder / "000000.json")
    assert not journal.is_finished(0)
    os.mkfifo(tmp_path / "out.mkv.json")
    assert read_record(tmp_path / "out.mkv") is None


def test_a_folder_of_the_journal_s_name_that_is_not_ours_is_left_alone(upscaler, clip, tmp_path):
    job = job_of(upscaler, clip, tmp_path / "out.mkv")
    foreign = journal_folder(job.target)
    foreign.mkdir()
    (foreign / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="was not made by this program"):
        run_job(upscaler, job, silent)
    assert (foreign / "mine.txt").read_text() == "mine"


def test_only_own_folders_are_removed(tmp_path):
    make_own_folder(tmp_path / "ours", "marker")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    for name in ("ours", "theirs"):
        remove_own_folder(tmp_path / name, "marker")
    make_own_folder(tmp_path / "ours", "marker")
    remove_own_folder(tmp_path / "link", "marker")
    assert {p.name for p in tmp_path.iterdir()} == {"ours", "theirs", "link"}


def test_what_a_segment_hands_on_survives_and_damage_is_said(tmp_path):
    journal = Journal(tmp_path / "out.mkv", {"key_sha256": "x"}, {})
    journal.save_carry(3, 7, {0: jax.numpy.ones((2, 3))})
    scene, carry = journal.carry(3)
    assert scene == 7 and carry[0].shape == (2, 3)
    (journal.folder / "000003.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match=r"000003\.npz is damaged; remove the folder"):
        journal.carry(3)


def test_the_record_is_json_and_names_its_files(upscaler, clip, tmp_path):
    job = job_of(upscaler, clip, tmp_path / "out.mkv")
    run_job(upscaler, job, silent)
    record = json.loads(job.outputs.record.read_text())
    assert record["outputs"] == ["out.mkv"] and record["format"] == preparing.RESULT_VERSION
    assert record["input"] == "clip.mkv" and record["scene_cuts"] == []


def test_a_file_system_that_is_lost_for_a_moment_loses_no_segment(tmp_path, monkeypatch):
    target = tmp_path / "clip.mp4"
    begun = Journal(target, {"a": 1}, {})
    begun.segment(0).write_bytes(b"a segment")

    def lost(path):
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "read_json", lost)
        with pytest.raises(OSError, match="Stale"):
            Journal(target, {"a": 1}, {})
    assert Journal(target, {"a": 1}, {}).segment(0).read_bytes() == b"a segment"


def test_a_run_that_pauses_has_finished_a_segment(upscaler, clip, tmp_path):
    job = job_of(upscaler, clip, tmp_path / "out.mp4")
    segments = len(job.plan.segments)
    assert segments > 1

    class Stopped(Exception):
        pass

    def stop():
        raise Stopped

    for done in range(1, segments):
        with pytest.raises(Stopped):
            run_job(upscaler, job, silent, pause=stop)
        assert len(list(tmp_path.glob(".out.mp4.uav/*.segment"))) == done
    assert run_job(upscaler, job, silent, pause=stop).is_file()
