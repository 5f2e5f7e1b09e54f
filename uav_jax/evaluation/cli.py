"""Command line of ``evaluate.py``."""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from uav_jax.evaluation.dataset import Dataset
from uav_jax.evaluation.layouts import LAYOUTS
from uav_jax.evaluation.methods import find_method
from uav_jax.evaluation.peers import PEERS
from uav_jax.evaluation.run import ClipResult, Report, evaluate
from uav_jax.evaluation.scores import COSTS, MEASURES, Scorer, chosen_measures
from uav_jax.provenance import environment
from uav_jax.video.containers import shown

LINE_SECONDS = 30
"""Between two lines of progress where there is no terminal."""

EXAMPLES = """examples:
  evaluate.py data/clips --method bicubic --method default --html report.html
  evaluate.py REDS30 --kind clean --method span --method results/mine --json scores.json
  evaluate.py VideoLQ --method default --metrics ewarp_self,flicker,musiq
"""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(
        prog="evaluate.py",
        description="Scores 4x video upscaling: models, peers and finished results in one table.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("data", type=Path, help="a data set, such as DATA/<clip>/hr.* and lq_<kind>.*")
    p.add_argument(
        "--kind", default="real", help="which inputs: real or clean, or another lq_<kind>"
    )
    p.add_argument(
        "--method",
        action="append",
        required=True,
        help=f"bicubic, lanczos, {', '.join(PEERS)}, truth, default, a model directory or a folder "
        "of results; several make one table",
    )
    p.add_argument("--layout", help=f"of the data set: {', '.join(LAYOUTS)}; unasked, recognised")
    p.add_argument("--metrics", help=f"all, or some of {', '.join(MEASURES)}")
    p.add_argument("--inputs", type=Path, help="folder for inputs that are made from truths")
    p.add_argument("--seed", type=int, default=0, help="of inputs that are made")
    p.add_argument("--json", type=Path, help="write every score there")
    p.add_argument("--csv", type=Path, help="write a row for each method and clip there")
    p.add_argument("--html", type=Path, help="write a self-contained page with pictures there")
    return p


def table(report: Report, title: str) -> Table:
    """Measures against methods, means over clips."""
    out = Table(title=escape(shown(title)))
    out.add_column("")
    for method in report:
        out.add_column(escape(shown(method)), justify="right", overflow="fold")
    means = [result["mean"] for result in report.values()]
    titles = {name: measure.title for name, measure in MEASURES.items()} | COSTS
    for name, text in titles.items():
        if any(name in mean for mean in means):
            out.add_row(text, *(f"{mean[name]:.3f}" if name in mean else "-" for mean in means))
    return out


def write_csv(report: Report, path: Path) -> None:
    """One row for each method and clip."""
    rows = [
        {"method": name, "clip": clip, **scores}
        for name, result in report.items()
        for clip, scores in result["clips"].items()
    ]
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, ["method", "clip", *MEASURES, *COSTS])
        writer.writeheader()
        writer.writerows(rows)


def scored(options: argparse.Namespace, console: Console) -> tuple[Report, dict[str, ClipResult]]:
    """What the options ask for, with a progress bar."""
    dataset = Dataset(
        options.data,
        options.kind,
        layout=options.layout,
        inputs=options.inputs,
        seed=options.seed,
    )
    scorer = Scorer(chosen_measures(options.metrics), no_truth=dataset.without_truth)
    for name, reason in scorer.missing.items():
        console.print(f"without {name}: {reason}", soft_wrap=True, markup=False)
    methods = {name: find_method(name) for name in options.method}
    if "truth" in methods and dataset.without_truth:
        raise ValueError(f"method truth: there is none for {', '.join(dataset.without_truth)}")
    with Progress(console=console, transient=True) as bars:
        every = bars.add_task("clips", total=len(dataset.names))
        one = bars.add_task("")

        last = time.monotonic()

        def progress(clip: str, done: int, frames: int) -> None:
            nonlocal last
            bars.update(one, description=escape(shown(clip)), completed=done, total=frames)
            if not console.is_terminal and time.monotonic() - last >= LINE_SECONDS:
                last = time.monotonic()
                console.print(f"{shown(clip)} {done}/{frames}", markup=False)
            if done == frames:
                bars.advance(every)

        return evaluate(dataset, methods, scorer, progress)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 after a mistake, or where a method or clip was left out."""
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        for path in (options.json, options.csv, options.html):
            if path is not None and not path.absolute().parent.is_dir():
                raise ValueError(f"{path}: folder {path.absolute().parent} does not exist")
        report, clips = scored(options, console)
        for result in report.values():
            result["about"] |= environment()
        title = f"{options.data.name}, {options.kind}"
        Console().print(table(report, title))
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n")
        if options.csv:
            write_csv(report, options.csv)
        if options.html:
            from uav_jax.evaluation.report import page

            options.html.write_text(page(report, clips, title), encoding="utf-8")
        failures = {text for clip in clips.values() for text in clip.failures.values()}
        for text in sorted(failures):
            console.print(
                f"evaluate.py: left out: {text}", style="red", markup=False, soft_wrap=True
            )
        passed_over = any("passed_over" in result["about"] for result in report.values())
        return 2 if failures or passed_over else 0
    except (ValueError, OSError) as error:
        console.print(f"evaluate.py: {error}", style="red", markup=False, soft_wrap=True)
        return 2
