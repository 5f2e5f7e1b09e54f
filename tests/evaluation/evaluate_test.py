"""``evaluate.py`` on a small data set of its own."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from tests.metrics.consistency_test import panning
from uav_jax.evaluation.cli import main
from uav_jax.evaluation.dataset import Dataset, digest


def write(folder, frames):
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i:04d}.png")


@pytest.fixture
def data(tmp_path):
    """Two clips of two frames, with the hashes of their inputs."""
    hashes = {}
    for seed, name in enumerate(("first", "second")):
        truth = panning(seed, frames=2)
        low = truth.reshape(2, 16, 4, 20, 4, 3).mean((2, 4)).astype(np.uint8)
        write(tmp_path / "data" / name / "hr", truth)
        write(tmp_path / "data" / name / "lq_real", low)
        hashes[name] = {"hr": digest(truth), "lq_real": digest(low)}
    (tmp_path / "data" / "manifest.json").write_text(json.dumps(hashes))
    return tmp_path / "data"


def test_a_table_of_methods_with_the_truth_as_the_best(data, tmp_path, capsys):
    arguments = ["--method", "bicubic", "--method", "lanczos", "--method", "truth"]
    files = ["--json", str(tmp_path / "s.json"), "--csv", str(tmp_path / "s.csv")]
    assert main([str(data), *arguments, *files]) == 0
    report = json.loads((tmp_path / "s.json").read_text())
    assert list(report) == ["bicubic", "lanczos", "truth"]
    assert set(report["bicubic"]["clips"]) == {"first", "second"}
    means = {name: result["mean"] for name, result in report.items()}
    assert means["truth"]["lpips_alex"] == pytest.approx(0, abs=1e-6)
    assert means["truth"]["ssim_rgb"] == pytest.approx(1)
    assert means["bicubic"]["psnr_rgb"] < means["truth"]["psnr_rgb"]
    clips = report["lanczos"]["clips"].values()
    assert means["lanczos"]["psnr_y"] == pytest.approx(np.mean([c["psnr_y"] for c in clips]))
    with (tmp_path / "s.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6
    assert "lanczos" in capsys.readouterr().out


def test_results_in_a_folder_score_like_the_method_that_made_them(data, tmp_path):
    for name in Dataset(data, "real").names:
        low = Dataset(data, "real").clip(name).low_res
        frames = [Image.fromarray(f).resize((80, 64), Image.Resampling.BICUBIC) for f in low]
        write(tmp_path / "results" / name, [np.asarray(f) for f in frames])
    methods = ["bicubic", str(tmp_path / "results")]
    given = [argument for method in methods for argument in ("--method", method)]
    assert main([str(data), *given, "--json", str(tmp_path / "s.json")]) == 0
    report = json.loads((tmp_path / "s.json").read_text())
    ours, theirs = (report[m]["mean"] for m in methods)
    assert ours["lpips_alex"] == theirs["lpips_alex"] and ours["ewarp"] == theirs["ewarp"]


def mistakes(data, tmp_path):
    """name -> (what is broken, arguments, message)."""

    def longer():
        write(tmp_path / "long" / "first", panning(frames=3))
        write(tmp_path / "long" / "second", panning(frames=2))

    def changed():
        image = data / "second" / "lq_real" / "0000.png"
        Image.new("RGB", (20, 16)).save(image)

    def without_truth():
        for path in (data / "first" / "hr").iterdir():
            path.unlink()
        (data / "first" / "hr").rmdir()

    nothing = lambda: None  # noqa: E731
    return {
        "unknown method": (nothing, [data, "--method", "magic"], "unknown method 'magic'"),
        "no folder": (nothing, [tmp_path / "no", "--method", "bicubic"], "is no directory"),
        "no such kind": (
            nothing,
            [data, "--kind", "noisy", "--method", "bicubic"],
            "no input of kind 'noisy'",
        ),
        "another length": (longer, [data, "--method", tmp_path / "long"], "first is (3, 64, 80)"),
        "changed input": (changed, [data, "--method", "bicubic"], "is not the clip that manifest"),
        "missing truth": (without_truth, [data, "--method", "bicubic"], "should hold one hr.*"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "unknown method",
        "no folder",
        "no such kind",
        "another length",
        "changed input",
        "missing truth",
    ],
)
def test_mistakes_are_one_line_and_status_2(name, data, tmp_path, capsys):
    break_it, arguments, message = mistakes(data, tmp_path)[name]
    break_it()
    assert main([str(a) for a in arguments]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
