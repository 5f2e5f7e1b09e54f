"""Jobs with the default model on tiny clips: sizes, resuming, replacing, bad input."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import make_video, smooth_frames
from tests.stub import stub_upscaler
from uav_jax.jobs import prepare as preparing
from uav_jax.jobs import video as module
from uav_jax.jobs.estimate import describe
from uav_jax.jobs.folder import claimed, run_folder, write_summary
from uav_jax.jobs.inputs import Input
from uav_jax.jobs.journal import journal_folder
from uav_jax.jobs.options import JobOptions
from uav_jax.jobs.outputs import is_result
from uav_jax.jobs.prepare import prepare
from uav_jax.jobs.video import run_job
from uav_jax.pipeline import plan as plan_module
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.probe import probe
from uav_jax.video.read import read_frames

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def upscaler():
    return stub_upscaler()


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr(plan_module, "SEGMENT", 6)


@pytest.fixture
def clip(tmp_path):
    return make_video(tmp_path / "clip.mkv", smooth_frames(14, 16, 24), range(14), audio=True)


def silent(*_):
    pass


def job_of(upscaler, source, place, **options):
    settings = dataclasses.replace(upscaler.defaults, inference_steps=1)
    return prepare(upscaler, source, place, settings, JobOptions(**options), silent)


def run(upscaler, source, place, **options):
    return run_job(upscaler, job_of(upscaler, source, place, **options), silent)


@pytest.mark.parametrize(
    "options, size",
    [
        ({}, (64, 96)),
        ({"scale": 2}, (32, 48)),
        ({"scale": 3}, (48, 72)),
        ({"height": 40}, (40, 60)),
    ],
)
def test_results_have_the_size_that_was_asked_for(upscaler, clip, tmp_path, options, size):
    target = run(upscaler, clip, tmp_path / "out.mkv", **options)
    info = probe(target)
    assert (info.height, info.width) == size and info.frames == 14
    assert info.audio_codecs == ("aac",)


def test_odd_results_are_made_even_for_codecs_that_need_it(upscaler, tmp_path):
    clip = make_video(tmp_path / "a.mkv", smooth_frames(2, 18, 26), range(2))
    size = job_of(upscaler, clip, tmp_path / "b.mkv", height=27).size
    assert size == (28, 40)
    lossless = JobOptions(height=27, output=OutputFormat(codec="png"))
    assert preparing.result_size(probe(clip), lossless) == (27, 39)


def test_a_folder_of_frames_is_a_result_too(upscaler, clip, tmp_path):
    target = run(upscaler, clip, tmp_path / "out", output=OutputFormat(codec="png"))
    frames = read_frames(target)
    assert frames.shape == (14, 64, 96, 3)
    assert json.loads((target.parent / f"{target.name}.json").read_text())["input"] == "clip.mkv"
    lossless = run(upscaler, clip, tmp_path / "x.mkv", output=OutputFormat(codec="ffv1"))
    assert np.array_equal(read_frames(lossless), frames)


def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(
    upscaler, clip, tmp_path, short_segments, monkeypatch
):
    whole = run(upscaler, clip, tmp_path / "whole.mkv").read_bytes()
    target, real, made = tmp_path / "out.mkv", module.encode_segment, []

    def stops_at_the_second(path, frames, form):
        if len(made) == 1:
            next(iter(frames))
            raise KeyboardInterrupt
        made.append(path.name)
        return real(path, frames, form)

    monkeypatch.setattr(module, "encode_segment", stops_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(upscaler, clip, target)
    assert not target.exists()
    monkeypatch.setattr(module, "encode_segment", real)
    told = []
    job = job_of(upscaler, clip, target)
    run_job(upscaler, job, lambda *message: told.append(message[0]))
    assert "resuming after the last finished segment" in told
    named = lambda data, name: data.replace(name.encode(), b"")  # noqa: E731
    assert named(target.read_bytes(), "out.mkv") == named(whole, "whole.mkv")
    assert not list(tmp_path.glob(".*"))


def test_other_settings_start_anew_and_say_so(
    upscaler, clip, tmp_path, short_segments, monkeypatch
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    target = tmp_path / "out.mkv"
    with monkeypatch.context() as patch:
        patch.setattr(module, "join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(upscaler, clip, target)
    told = []
    job = job_of(upscaler, clip, target, output=OutputFormat(crf=30))
    run_job(upscaler, job, lambda *message: told.append(message[0]))
    assert told[0].startswith("settings or input changed")


def killed_while_publishing(monkeypatch, upscaler, source, place, **options):
    """Runs a job and kills it before its record is complete; returns the job."""
    real, calls = module.Journal.publish_record, []

    def publish(self, path, record):
        calls.append(record)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(self, path, record)

    job = job_of(upscaler, source, place, **options)
    with monkeypatch.context() as patch:
        patch.setattr(module.Journal, "publish_record", publish)
        with pytest.raises(KeyboardInterrupt):
            run_job(upscaler, job, silent)
    return job


def test_a_run_killed_between_result_and_record_is_finished(upscaler, clip, tmp_path, monkeypatch):
    job = killed_while_publishing(monkeypatch, upscaler, clip, tmp_path / "out.mkv")
    assert job.target.exists() and not job.is_done() and is_result(job.target)
    assert run(upscaler, clip, job.target) == job.target
    assert job.is_done() and not list(tmp_path.glob(".*"))
    other = killed_while_publishing(monkeypatch, upscaler, clip, tmp_path / "other.mkv")
    with pytest.raises(ValueError, match="give --overwrite to replace it"):
        run(upscaler, clip, other.target, scale=2)
    assert probe(run(upscaler, clip, other.target, scale=2, overwrite=True)).height == 32


def test_what_a_run_killed_after_its_result_left_is_cleared_away(
    upscaler, clip, tmp_path, monkeypatch
):
    target = tmp_path / "out.mkv"
    with monkeypatch.context() as patch:
        patch.setattr(module, "discard", lambda *_: None)
        run(upscaler, clip, target)
    dead = {"host": socket.gethostname(), "process": 0, "started": ""}
    (tmp_path / ".out.mkv.claim.1").write_text(json.dumps(dead))
    assert len(list(tmp_path.glob(".*"))) == 2
    outcome = claimed(upscaler, job_of(upscaler, clip, target), silent)
    assert outcome.state == "already there" and not list(tmp_path.glob(".*"))


def test_frames_that_were_moved_before_a_kill_are_kept(upscaler, clip, tmp_path, monkeypatch):
    images = OutputFormat(codec="png")
    job = killed_while_publishing(monkeypatch, upscaler, clip, tmp_path / "out", output=images)
    assert run(upscaler, clip, tmp_path / "out", output=images) == job.target
    assert len(read_frames(job.target)) == 14 and job.is_done()


@pytest.mark.parametrize("damage", ["cut", "emptied", "changed"])
def test_a_damaged_segment_is_made_again(
    upscaler, clip, tmp_path, short_segments, monkeypatch, damage
):
    whole = run(upscaler, clip, tmp_path / "whole.mkv").read_bytes()
    job = job_of(upscaler, clip, tmp_path / "out.mkv")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_job(upscaler, job, silent)
    segment = journal_folder(job.target) / "000001.segment"
    data = segment.read_bytes()
    changed = data[:200] + bytes(50) + data[250:]
    segment.write_bytes({"cut": data[: len(data) // 2], "emptied": b"", "changed": changed}[damage])
    assert run_job(upscaler, job, silent).read_bytes() == whole


def test_a_result_is_kept_unless_it_is_another_and_may_be_replaced(upscaler, clip, tmp_path):
    target = run(upscaler, clip, tmp_path / "out.mkv")
    before = target.stat().st_mtime_ns
    assert run(upscaler, clip, target) == target and target.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="give --overwrite to replace it"):
        run(upscaler, clip, target, scale=2)
    assert target.stat().st_mtime_ns == before
    assert probe(run(upscaler, clip, target, scale=2, overwrite=True)).height == 32


def test_frames_on_both_sides_of_a_cut_equal_those_of_the_halves_alone(upscaler, tmp_path):
    first, second = smooth_frames(7, 16, 24), 255 - smooth_frames(9, 16, 24)[::-1]
    images = OutputFormat(codec="png")
    made = []
    for name, frames in (("ab", np.concatenate([first, second])), ("a", first), ("b", second)):
        folder = tmp_path / name
        folder.mkdir()
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"{number:03d}.png")
        job = job_of(upscaler, folder, tmp_path / "out", output=images)
        assert job.record["scene_cuts"] == ([7] if name == "ab" else [])
        made.append(read_frames(run_job(upscaler, job, silent)))
    assert np.array_equal(made[0], np.concatenate(made[1:]))


def test_a_plan_is_told_before_anything_is_done(upscaler, clip, tmp_path):
    said = describe(upscaler, job_of(upscaler, clip, tmp_path / "out"))
    assert "14 frames of 24x16" in said and "96x64" in said
    assert "TFLOP" in said and "GiB" in said and "s a frame" in said
    assert not list((tmp_path / "out").glob("*"))


def test_a_failing_video_is_reported_and_the_rest_go_on(upscaler, clip, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    reported = []
    outcomes = run_folder(
        upscaler,
        [Input(tmp_path / "bad.mp4"), Input(clip)],
        lambda item: job_of(upscaler, item.path, tmp_path / "out"),
        silent,
        reported.append,
    )
    assert [o.state for o in outcomes] == ["failed", "done"] and reported == outcomes
    summary = json.loads(write_summary(outcomes, tmp_path).read_text())
    assert "cannot be read as a video" in summary[0]["message"]
    assert summary[1]["frames"] == 14 and summary[1]["seconds"] > 0


RUN = """
import sys
from uav_jax.pipeline import plan
plan.SEGMENT = 6
{networks}
from uav_jax.cli import main
sys.exit(main(sys.argv[1:]))
"""

STUB = """
import time
from tests import stub
from uav_jax.pipeline.upscale import Upscaler
enlarge, model = stub.StubRunner.segment, stub.stub_upscaler()
def segment(*arguments):
    for group in enlarge(*arguments):
        time.sleep(0.3)
        yield group
stub.StubRunner.segment = segment
Upscaler.from_pretrained = lambda *_, **__: model
"""
"""Nearest neighbours, at the pace of a model."""


def start(*arguments, networks=STUB):
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(_cache())}
    code = RUN.format(networks=networks)
    command = [sys.executable, "-c", code, *map(str, arguments), "-s", "1"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd=ROOT)


def _cache() -> Path:
    import jax

    return Path(jax.config.jax_compilation_cache_dir)  # pyright: ignore


def kill_at_random_moments(kills, clip, folder, start):
    """Kills runs of one video, the first by SIGINT, and asserts that the result is the same."""
    whole, again = folder / "a" / "out.mkv", folder / "b" / "out.mkv"
    assert start("-i", clip, "-o", whole).wait() == 0  # compiles
    started = time.monotonic()
    assert start("-i", clip, "-o", again).wait() == 0
    length, rng = time.monotonic() - started, np.random.default_rng()
    target, done = folder / "c" / "out.mkv", 0
    while done < kills:
        process = start("-i", clip, "-o", target)
        time.sleep(rng.uniform(0.3, 0.95) * length)
        if process.poll() is None:
            process.send_signal(signal.SIGINT if done == 0 else signal.SIGKILL)
            assert process.wait(timeout=60) in (0, 130, -signal.SIGINT, -signal.SIGKILL)
            done += 1
        else:  # what earlier runs had left to do took it no longer: from the start again
            assert process.returncode == 0 and target.read_bytes() == whole.read_bytes()
            target.unlink()
    assert start("-i", clip, "-o", target).wait() == 0
    assert target.read_bytes() == whole.read_bytes()


def test_a_run_killed_at_random_moments_ends_in_the_uninterrupted_bytes(clip, tmp_path):
    kill_at_random_moments(3, clip, tmp_path, start)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_of_the_model_killed_twenty_times_ends_in_the_uninterrupted_bytes(clip, tmp_path):
    kill_at_random_moments(20, clip, tmp_path, partial(start, networks=""))


def test_two_processes_share_a_folder_and_one_may_die(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(10):
        frames = np.roll(smooth_frames(3, 16, 24), number, 2)
        make_video(tmp_path / "in" / f"{number}.mkv", frames, range(3))
    both = [start("-i", tmp_path / "in", "-o", tmp_path / "out") for _ in range(2)]
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").glob("*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.05)
    both[0].kill()
    both[0].wait()
    assert both[1].wait() == 0
    results = sorted((tmp_path / "out").glob("*.mp4"))
    assert len(results) == 10
    assert start("-i", tmp_path / "in", "-o", tmp_path / "alone").wait() == 0
    alone = sorted((tmp_path / "alone").glob("*.mp4"))
    assert [p.name for p in alone] == [p.name for p in results]
    assert [p.read_bytes() for p in alone] == [p.read_bytes() for p in results]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {o["state"] for o in summary} <= {"done", "already there"}
    assert [p.name for p in (tmp_path / "out").glob(".*")] == []


def test_plans_of_neighbouring_segments_follow_each_other(upscaler, short_segments):
    segments = upscaler.plan(40, 16, 24, cuts=(15,)).segments
    spans = [(s.scene + s.start, s.scene + s.stop) for s in segments]
    assert spans[0][0] == 0 and spans[-1][1] == 40
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert all(s.start % 3 == 0 for s in segments)
