"""The self-contained HTML page of an evaluation: tables, plots, x-t slices, and a slider.

Names of clips and methods are whatever files and folders are called. They are text everywhere: HTML
is escaped, plots parse no mathematics, and the page's policy runs no script but its own.
"""

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from uav_jax.evaluation.run import TRUTH, ClipResult, Pictures, Report
from uav_jax.evaluation.scores import COSTS, MEASURES
from uav_jax.runtime.html_policy import page_policy
from uav_jax.video.containers import shown

JPEG_QUALITY = 92
LONGEST_LABEL = 24
"""Characters of a clip's name below its bars."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8b5a2b")
"""Of methods, in order: told apart by colour-blind readers too (Okabe and Ito)."""


def page(report: Report, clips: dict[str, ClipResult], title: str) -> str:
    """The page as one string without any reference to other files."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_printable
    )
    folder = files("uav_jax.evaluation")
    template = environment.from_string(
        folder.joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    script = folder.joinpath("report.js").read_text(encoding="utf-8")
    shown_measures = [m for m in MEASURES if any(m in r["mean"] for r in report.values())]
    costs = [c for c in COSTS if any(c in r["mean"] for r in report.values())]
    colours: dict[str, str] = dict(zip(report, COLOURS * len(report), strict=False))
    with _plain_text():
        bars = [_bars(report, name, colours) for name in shown_measures]
        sections = [_clip(name, result, shown_measures, colours) for name, result in clips.items()]
    return template.render(
        title=title,
        script=script,
        policy=page_policy(script),
        columns=[(name, MEASURES[name].title) for name in shown_measures]
        + [(c, COSTS[c]) for c in costs],
        tables=[("mean of all clips", {m: r["mean"] for m, r in report.items()})]
        + [(clip, result.means) for clip, result in clips.items()],
        best={name: MEASURES[name].best for name in shown_measures},
        methods=list(report),
        about={name: result["about"] for name, result in report.items()},
        colours=colours,
        bars=bars,
        clips=sections,
    )


def _printable(value: object) -> object:
    """Text as it can be printed; the page's own HTML, a subclass of `str`, as it is."""
    return shown(value) if type(value) is str else value


@contextmanager
def _plain_text() -> Iterator[None]:
    """Has matplotlib draw names literally: `$` begins no formula, and a glyph may be missing."""
    import matplotlib

    settings: dict[Any, Any] = {
        "text.parse_math": False,
        "text.usetex": False,
        "svg.hashsalt": "report",
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _label(name: str) -> str:
    """A clip's name below its bars."""
    text = shown(name)
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _data_uri(frame: np.ndarray, kind: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, kind, quality=JPEG_QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _clip(name: str, result: ClipResult, shown: list[str], colours: dict[str, str]) -> dict:
    pictures = result.pictures
    versions = [method for method in colours if method != TRUTH]
    if TRUTH in pictures.middle:
        versions.append(TRUTH)
    return {
        "name": name,
        "versions": versions,
        "pictures": {v: _data_uri(pictures.middle[v], "jpeg") for v in versions},
        "width": pictures.middle[versions[0]].shape[1],
        "slices": {v: _slice(pictures, v) for v in versions},
        "plots": [_lines(result, measure, colours) for measure in shown],
    }


def _slice(pictures: Pictures, version: str) -> str:
    """The x-t slice, every frame enlarged to a few rows so that short clips can be seen."""
    rows = pictures.slice(version)
    tall = max(1, 96 // len(rows))
    return _data_uri(np.repeat(rows, tall, axis=0), "png")


def _figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _trivial(method: str, measure: str) -> bool:
    """Whether this is the truth's likeness to itself, which would only flatten a plot."""
    return method == TRUTH and measure.startswith(("psnr", "ssim", "lpips"))


def _lines(result: ClipResult, measure: str, colours: dict[str, str]) -> str:
    """One measure of one clip over its frames, a line a method."""
    figure, axes = _figure()
    for method, colour in colours.items():
        values = result.per_frame[method].get(measure)
        if values and not _trivial(method, measure):
            axes.plot(values, color=colour, marker=".", linewidth=1.2)
    axes.set(title=MEASURES[measure].title, xlabel="frame")
    return _svg(figure)


def _bars(report: Report, measure: str, colours: dict[str, str]) -> str:
    """One measure of every clip, a bar a method."""
    figure, axes = _figure()
    clips = list(next(iter(report.values()))["clips"])
    width = 0.8 / len(report)
    for number, (method, result) in enumerate(report.items()):
        if _trivial(method, measure):
            continue
        heights = [result["clips"][clip].get(measure, np.nan) for clip in clips]
        positions = np.arange(len(clips)) + number * width - 0.4
        axes.bar(positions, heights, width, color=colours[method])
    axes.set_xticks(np.arange(len(clips)) - width / 2, [_label(clip) for clip in clips])
    axes.set(title=MEASURES[measure].title)
    if measure.startswith(("psnr", "ssim")) and axes.patches:
        low = min(b.get_height() for b in axes.patches)  # pyright: ignore
        axes.set_ylim(bottom=0.9 * low)
    return _svg(figure)
