"""Names of clips and methods are text in a report, whatever they hold."""

import re

import numpy as np
import pytest
from rich.console import Console

from tests.browser import needs_chromium, opened
from uav_jax.evaluation.cli import table
from uav_jax.evaluation.report import page
from uav_jax.evaluation.run import ClipResult, Pictures

SCRIPT = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
NAMES = (
    "$\\frac$",
    "$x^{",
    SCRIPT,
    "</script><script>document.title='taken'</script>",
    "'\"onload=alert(1) &amp; {{ 7 * 7 }} ${7}",
    "]]> --> </svg></style><b>",
    "[bold]a[/] [/red]",
    "line\nbreak \x1b[31m \u202e \udcff",
    "long" * 60,
    "名前",
)
METHOD = f"results/{SCRIPT} $\\frac$"


def report_of(names):
    rng = np.random.default_rng(0)
    scores, clips = {"psnr_rgb": 30.0}, {}
    for name in names:
        pictures = Pictures()
        for version in (METHOD, "bicubic"):
            pictures.add(version, rng.integers(0, 255, (8, 8, 3), np.uint8), 0, 1)
        values = {method: {"psnr_rgb": [30.0, 31.0]} for method in (METHOD, "bicubic")}
        means = {method: dict(scores) for method in values}
        clips[name] = ClipResult(values, means, pictures, {})
    about = {"what": SCRIPT, "prompt": "$\\frac$ </pre>" + SCRIPT}
    report = {
        method: {"mean": dict(scores), "clips": dict.fromkeys(names, scores), "about": about}
        for method in (METHOD, "bicubic")
    }
    return report, clips


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_does_not_break_the_report(name):
    text = page(*report_of([name]), title=name)
    text.encode("utf-8")
    assert "<img src=x" not in text and "<script>document" not in text and "<b>" not in text


def test_plots_show_dollars_as_they_are():
    text = page(*report_of(["$\\frac$", "a_$x^2$"]), title="data")
    assert len(re.findall(r">\$\\frac\$</text>", text)) == 1
    assert ">a_$x^2$</text>" in text


@needs_chromium
def test_nothing_of_a_hostile_report_runs(tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page(*report_of(NAMES), title="scores"), encoding="utf-8")
    with opened(path.as_uri(), 1366, 900) as shown:
        assert shown.title() == "scores"
        assert shown.locator("section.clip").count() == len(NAMES)
        assert shown.locator("img[src=x]").count() == 0
        clip = shown.locator("section.clip").first
        before = clip.locator(".under").get_attribute("src")
        clip.locator(".left").select_option(index=1)
        assert clip.locator(".under").get_attribute("src") != before
        assert shown.locator("script").count() == len(NAMES) + 1


@needs_chromium
def test_a_script_that_came_through_would_not_run_either(tmp_path):
    """The policy of the page is a second line: it allows one script, by its hash."""
    text = page(*report_of(["a"]), title="scores").replace("</h1>", f"</h1>{SCRIPT}")
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")
    with opened(path.as_uri(), 1366, 900) as shown:
        assert shown.locator("img[src=x]").count() == 1
        assert shown.title() == "scores"


def test_the_table_takes_no_name_for_markup():
    console = Console(record=True, width=400)
    report, _ = report_of(["a"])
    report["[bold]b[/] [/red]"] = report["bicubic"]
    console.print(table(report, "[/red] data"))
    shown = console.export_text()
    assert "[bold]b[/] [/red]" in shown and "[/red] data" in shown
