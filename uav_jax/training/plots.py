"""Curves of a run as a picture: ``curves.png`` from ``metrics.jsonl``."""

import json
from pathlib import Path

import numpy as np

PANELS = ("loss", "grad_norm", "learning_rate", "validation_psnr", "validation_lpips_vgg")
"""Metrics that get a panel, where the run has them."""


def parse_line(line: str) -> dict | None:
    """Returns the values of a line of ``metrics.jsonl``; None where it is damaged."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(values, dict) and type(values.get("step")) is int
    return values if whole else None


def read_metrics(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Per metric its steps and values; damaged lines are left out."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for line in path.read_text(errors="replace").splitlines():
        values = parse_line(line) or {}
        step = values.pop("step", 0)
        for name, value in values.items():
            if not isinstance(value, int | float):
                continue
            steps, column = found.setdefault(name, ([], []))
            steps.append(step)
            column.append(value)
    return found


def smoothed(values: list[float], window: int = 20) -> np.ndarray:
    """Mean over the last ``window`` values."""
    sums = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def write_curves(workdir: Path, title: str) -> Path | None:
    """Writes ``workdir/curves.png``; None where there is nothing to draw."""
    from matplotlib.figure import Figure

    metrics = read_metrics(workdir / "metrics.jsonl")
    panels = [name for name in PANELS if name in metrics]
    if not panels:
        return None
    figure = Figure(figsize=(4 * len(panels), 3.2), layout="constrained")
    for name, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        steps, values = metrics[name]
        noisy = name in ("loss", "grad_norm")
        axes.plot(steps, values, color="tab:blue", alpha=0.3 if noisy else 1.0)
        if noisy:
            axes.plot(steps, smoothed(values), color="tab:blue")
        axes.set(title=name.replace("_", " "), xlabel="step")
        axes.grid(alpha=0.3)
    figure.suptitle(title, parse_math=False)
    path = workdir / "curves.png"
    figure.savefig(path, dpi=100)
    return path
