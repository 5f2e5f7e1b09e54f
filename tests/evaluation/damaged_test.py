"""Damaged clips and manifests of data sets for evaluation."""

import os

import numpy as np
import pytest

from tests.clips import make_video, smooth_frames
from uav_jax.evaluation import dataset as module
from uav_jax.evaluation.cli import main
from uav_jax.evaluation.dataset import Dataset, UnreadableClip, decoded

DAMAGE = ["", "{", "[]", "3", '{"a": []}', '{"a": {"hr": NaN}}', "[" * 100_000, '{"a": 1e999}']


@pytest.fixture
def data(tmp_path):
    """Three clips, of which one has a broken truth and one a broken input."""
    for number, name in enumerate(("good", "no_input", "no_truth")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        high = smooth_frames(2, 64, 64 + 16 * number)
        for stem, frames in (("hr", high), ("lq_real", np.ascontiguousarray(high[:, ::4, ::4]))):
            make_video(folder / f"{stem}.mkv", frames, range(2))
    (tmp_path / "data" / "no_input" / "lq_real.mkv").write_bytes(b"no video")
    (tmp_path / "data" / "no_truth" / "hr.mkv").write_bytes(b"no video")
    return tmp_path / "data"


def test_clips_that_cannot_be_read_are_passed_over_and_named(data, caplog, capsys):
    arguments = [str(data), "--method", "bicubic", "--metrics", "psnr_rgb"]
    assert main([*arguments, "--json", str(data.parent / "r.json")]) == 2
    for name, file in (("no_input", "lq_real.mkv"), ("no_truth", "hr.mkv")):
        assert f"passed over clip {name}" in caplog.text
        assert f"{name}/{file} cannot be read as a video" in caplog.text
    assert "(2 so far)" in caplog.text and "bicubic" in capsys.readouterr().out
    report = (data.parent / "r.json").read_text()
    assert '"good"' in report and '"passed_over"' in report


def test_without_a_clip_that_can_be_read_there_is_an_error(data, capsys):
    (data / "good" / "hr.mkv").write_bytes(b"no video")
    assert main([str(data), "--method", "bicubic", "--metrics", "psnr_rgb"]) == 2
    assert "none of 3 clips can be read" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("error", [AttributeError("x"), KeyError("x"), MemoryError()])
def test_whatever_a_reader_raises_names_the_file(error, tmp_path, monkeypatch):
    def read(path):
        yield from ()
        raise error

    monkeypatch.setattr(module, "stream_frames", read)
    with pytest.raises(UnreadableClip, match=rf"a.mp4: {type(error).__name__}"):
        list(decoded(tmp_path / "a.mp4"))


@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_manifest_is_named(data, content):
    (data / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=r"manifest\.json .*; remove the file, or put") as error:
        Dataset(data, "real")
    assert len(str(error.value).splitlines()) == 1


def test_a_manifest_that_is_a_pipe_is_not_opened(data):
    os.mkfifo(data / "manifest.json")
    assert Dataset(data, "real").names
