"""``evaluate.py`` on a small data set of its own."""

import csv
import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.conftest import write_frames
from tests.metrics.consistency_test import panning
from uav_jax.evaluation import scores
from uav_jax.evaluation.cli import main
from uav_jax.evaluation.dataset import Dataset
from uav_jax.evaluation.methods import find_result
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.write import write_video


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
    assert means["truth"]["ewarp"] < 0.2 and means["truth"]["ewarp_self"] < 0.2
    assert {"seconds_per_frame", "memory_mb"} <= set(means["bicubic"])
    assert report["bicubic"]["about"]["versions"]["jax"]


def test_results_in_a_folder_score_like_the_method_that_made_them(data, tmp_path):
    for name in Dataset(data, "real").names:
        low = Dataset(data, "real").clip(name).low_res
        frames = [Image.fromarray(f).resize((80, 64), Image.Resampling.BICUBIC) for f in low]
        write_frames(tmp_path / "results" / name, [np.asarray(f) for f in frames])
    methods = ["bicubic", str(tmp_path / "results")]
    given = [argument for method in methods for argument in ("--method", method)]
    assert main([str(data), *given, "--json", str(tmp_path / "s.json")]) == 0
    report = json.loads((tmp_path / "s.json").read_text())
    ours, theirs = (report[m]["mean"] for m in methods)
    assert ours["lpips_alex"] == theirs["lpips_alex"] and ours["ewarp"] == theirs["ewarp"]


def test_results_are_found_by_the_names_that_infer_gives_them(data, tmp_path):
    results = tmp_path / "results"
    (results / "second").mkdir(parents=True)
    frames = np.zeros((3, 64, 80, 3), np.uint8)
    lossless = OutputFormat(codec="ffv1")
    for place in ("first_n0_g1_s1.mkv", "second/lq_real_n0_g1_s1_ffv1.mkv"):
        write_video(results / place, frames, Fraction(25), output=lossless)
        (results / f"{place}.json").write_text("{}")
    write_video(results / "first_n0_g1_s1_compare.mkv", frames, Fraction(25), output=lossless)
    given = ["--method", str(results), "--metrics", "psnr_rgb", "--json", str(tmp_path / "s.json")]
    assert main([str(data), *given]) == 0
    write_video(results / "first_n20_g1_s1.mkv", frames, Fraction(25), output=lossless)
    with pytest.raises(
        ValueError, match=r"should hold one result of clip first .* but holds first_n"
    ):
        find_result(results, "first")
    with pytest.raises(ValueError, match="but holds none"):
        find_result(results, "third")


def test_what_cannot_be_scored_is_said_and_the_rest_is_scored(data, tmp_path, capsys, monkeypatch):
    for path in (data / "first" / "hr").iterdir():
        path.unlink()
    (data / "first" / "hr").rmdir()
    monkeypatch.setattr(scores, "installed_lpips", lambda backbone: None)
    write_frames(tmp_path / "short" / "first", panning(frames=2))
    write_frames(tmp_path / "short" / "second", panning(frames=3))
    methods = ["--method", "bicubic", "--method", str(tmp_path / "short")]
    chosen = ["--metrics", "psnr_rgb,lpips_alex,flicker", "--json", str(tmp_path / "s.json")]
    assert main([str(data), *methods, *chosen]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "without psnr_rgb: there is no truth (hr.*) for first" in said
    assert f"left out: first: {tmp_path}/short/first has 2 frames, the input 3" in said
    report = json.loads((tmp_path / "s.json").read_text())
    assert list(report) == ["bicubic"]
    assert set(report["bicubic"]["mean"]) == {"flicker", "seconds_per_frame", "memory_mb"}


def test_missing_lpips_weights_leave_the_other_scores(data, capsys, monkeypatch):
    monkeypatch.setattr(scores, "installed_lpips", lambda backbone: None)
    assert main([str(data), "--method", "bicubic", "--metrics", "psnr_rgb,lpips_alex"]) == 0
    printed = capsys.readouterr()
    assert 'without lpips_alex: its weights are missing; install the extra "eval"' in printed.err
    assert "PSNR, RGB" in printed.out


def changed(data, tmp_path):
    Image.new("RGB", (20, 16)).save(data / "second" / "lq_real" / "0000.png")


def longer(data, tmp_path):
    write_frames(tmp_path / "results" / "first", panning(frames=4))
    write_frames(tmp_path / "results" / "second", panning(frames=3))


def larger(data, tmp_path):
    frames = np.zeros((3, 68, 80, 3), np.uint8)
    write_frames(tmp_path / "results" / "first", frames)
    write_frames(tmp_path / "results" / "second", frames)


def longer_truth(data, tmp_path):
    Image.new("RGB", (80, 64)).save(data / "first" / "hr" / "0009.png")
    (data / "manifest.json").unlink()


def nothing(data, tmp_path):
    pass


@pytest.mark.parametrize(
    "break_it, arguments, message",
    [
        (nothing, ["DATA", "--method", "magic"], "unknown method 'magic': expected bicubic"),
        (nothing, ["DATA/no", "--method", "bicubic"], "is no directory"),
        (nothing, ["DATA", "--kind", "noisy", "--method", "bicubic"], "no input of kind 'noisy'"),
        (nothing, ["DATA", "--layout", "odd", "--method", "bicubic"], "layout 'odd'; expected one"),
        (nothing, ["DATA", "--metrics", "vmaf", "--method", "bicubic"], "metrics 'vmaf': expected"),
        (nothing, ["DATA", "--method", "truth", "--html", "DATA/no/a.html"], "does not exist"),
        (longer, ["DATA", "--method", "RESULTS"], "has more than the 3 frames of the input"),
        (larger, ["DATA", "--method", "RESULTS"], "is 80x68, expected 80x64"),
        (changed, ["DATA", "--method", "bicubic"], "manifest.json describes; its hash differs"),
        (longer_truth, ["DATA", "--method", "bicubic"], "hr has more than the 3 frames"),
    ],
)
def test_mistakes_are_one_line_and_status_2(break_it, arguments, message, data, tmp_path, capsys):
    break_it(data, tmp_path)
    places = {"DATA": str(data), "RESULTS": str(tmp_path / "results")}
    given = [
        a.replace("DATA", places["DATA"]).replace("RESULTS", places["RESULTS"]) for a in arguments
    ]
    metrics = [] if "--metrics" in given else ["--metrics", "psnr_rgb"]
    assert main([*given, *metrics]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
