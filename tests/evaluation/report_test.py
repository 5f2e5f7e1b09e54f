"""The HTML report, in a real browser."""

import re

import pytest

from tests.browser import needs_chromium, opened
from tests.evaluation.conftest import write_frames
from tests.metrics.consistency_test import panning
from uav_jax.evaluation.cli import main


@pytest.fixture
def report(data, tmp_path):
    path = tmp_path / "report.html"
    methods = ["--method", "bicubic", "--method", "lanczos", "--method", "truth"]
    metrics = ["--metrics", "psnr_rgb,lpips_alex,flicker"]
    assert main([str(data), *methods, *metrics, "--html", str(path)]) == 0
    return path


def test_the_page_refers_to_nothing_outside_itself(report):
    text = report.read_text()
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", text)
    assert links and all(link.startswith(("data:", "#")) for link in links)
    assert not re.findall(r"url\((?!#)", text)


def test_a_method_that_was_left_out_is_not_on_the_page(data, tmp_path):
    write_frames(tmp_path / "short" / "first", panning(frames=3))
    write_frames(tmp_path / "short" / "second", panning(frames=2))
    methods = ["--method", str(tmp_path / "short"), "--method", "bicubic"]
    path = tmp_path / "report.html"
    assert main([str(data), *methods, "--metrics", "psnr_rgb", "--html", str(path)]) == 2
    assert "bicubic" in path.read_text() and "short" not in path.read_text()


@needs_chromium
@pytest.mark.parametrize("width, height", [(1366, 900), (390, 844)])
def test_the_page_in_a_browser(report, width, height):
    with opened(report.as_uri(), width, height) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("section.clip").count() == 2
        assert page.locator("td.best").count() >= 3
        clip = page.locator("section.clip").first
        compare = clip.locator(".compare")
        shown = compare.screenshot()
        clip.locator(".at").fill("100")
        assert compare.screenshot() != shown, "the slider moves the divide"
        left = compare.screenshot()
        clip.locator(".left").select_option("lanczos")
        assert clip.locator(".under").get_attribute("alt") == "first, lanczos"
        assert compare.screenshot() != left
        box = compare.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        assert abs(float(clip.locator(".at").input_value()) - 25) <= 1
        sizes = page.eval_on_selector_all("img", "all => all.map(i => i.naturalWidth)")
        assert len(sizes) == 2 * (2 + 3) and all(sizes)
