"""The page in a browser: everything that a visitor does, at laptop and phone width."""

import re
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.browser import needs_chromium, opened
from tests.clips import make_video, smooth_frames
from uav_jax.pipeline import plan as plan_module
from uav_jax.video.probe import probe

pytestmark = needs_chromium
LONG = 180_000
"""Milliseconds that a run may take."""


@contextmanager
def page_of(site, width=1366):
    with opened(site[0], width, 800) as page:
        page.wait_for_selector("#limits:has-text('Up to')")
        yield page


def choose(page, path):
    page.set_input_files("#file", path)
    page.wait_for_selector("#plan:has-text('Result:')", timeout=LONG)


def move(page, selector, value):
    page.locator(selector).evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def loaded(page, selector):
    """Waits until a picture is there; returns its size."""
    picture = page.locator(selector)
    deadline = time.monotonic() + 20
    while not (size := picture.evaluate("e => [e.naturalWidth, e.naturalHeight]"))[0]:
        assert time.monotonic() < deadline, f"{selector} does not load"
        time.sleep(0.05)
    return tuple(size)


def test_upload_preview_run_compare_and_download(site, clip, tmp_path):
    with page_of(site) as page:
        assert page.locator("#whole").is_hidden()
        choose(page, clip)
        assert "16 × 16, 3 frames" in page.inner_text("#facts")
        assert "64 × 64" in page.inner_text("#plan")
        page.click("summary")
        page.select_option("#color_fix", "adain")
        assert loaded(page, "#moment") == (16, 16)
        page.click("#preview")
        page.wait_for_selector("#preview-result:not([hidden])", timeout=LONG)
        assert loaded(page, "#preview-result .before") == (16, 16)
        assert loaded(page, "#preview-result .after") == (64, 64)
        page.click("#start")
        page.wait_for_selector("#done:not([hidden])", timeout=LONG)
        assert loaded(page, "#result .after") == (64, 64)
        pair = page.locator("#result .pair")
        width = pair.bounding_box()["width"]
        for part in (20, 70):
            move(page, "#result .at", part)
            clip_path = page.locator("#result .after").evaluate("e => getComputedStyle(e).clipPath")
            assert clip_path == f"inset(0px 0px 0px {part}%)"
            line = page.locator("#result i").evaluate("e => e.offsetLeft")
            assert abs(line / width - part / 100) < 0.02
        first = page.locator("#result .after").get_attribute("src")
        move(page, "#result .number", 2)
        assert page.locator("#result .after").get_attribute("src") != first
        assert page.inner_text("#result output") == "3"
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == "clip_upscaled.mp4"
        download.value.save_as(tmp_path / "out.mp4")
        assert probe(tmp_path / "out.mp4").frames == 3
        page.click("#forget")
        page.wait_for_selector("#whole", state="hidden")


def test_a_run_goes_on_while_the_page_is_reloaded_and_can_be_cancelled(site, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "SEGMENT", 6)
    long = make_video(tmp_path / "long.mp4", smooth_frames(36, 16, 16), range(36))
    with page_of(site) as page:
        choose(page, long)
        page.fill("#prompt", "a blue square")
        page.click("#start")
        page.wait_for_selector("#status:has-text('frame')", timeout=LONG)
        page.reload()
        page.wait_for_selector("#run:not([hidden])")
        assert page.input_value("#prompt") == "a blue square"
        assert page.is_disabled("#start") and "long.mp4" in page.inner_text("#facts")
        page.click("#cancel")
        page.wait_for_selector("#run", state="hidden", timeout=LONG)
        assert page.is_enabled("#start") and page.locator("#done").is_hidden()
        page.click("#start")  # goes on after the segments that were finished
        page.wait_for_selector("#done:not([hidden])", timeout=LONG)


def test_two_visitors_at_once_see_their_own(site, tmp_path):
    with page_of(site) as one:
        other = one.context.browser.new_context().new_page()
        other.goto(site[0])
        for page, level in ((one, 40), (other, 200)):
            frames = np.full((3, 16, 16, 3), level, np.uint8)
            choose(page, make_video(tmp_path / f"{level}.mp4", frames, range(3)))
        for page in (one, other):
            page.click("#start")
        for page, level in ((one, 40), (other, 200)):
            page.wait_for_selector("#done:not([hidden])", timeout=LONG)
            assert f"{level}.mp4" in page.inner_text("#facts")
            loaded(page, "#result .after")
            mean = page.locator("#result .after").evaluate(
                "e => { const c = document.createElement('canvas'); c.width = c.height = 8;"
                " const x = c.getContext('2d'); x.drawImage(e, 0, 0, 8, 8);"
                " return x.getImageData(4, 4, 1, 1).data[0]; }"
            )
            assert abs(mean - level) < 15


def test_wrong_large_and_strangely_named_files(site, clip, tmp_path):
    wrong = tmp_path / "notes.mp4"
    wrong.write_text("no video at all")
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(1_100_000))
    strange = tmp_path / "a';\"<img src=x onerror=alert(1)>.mp4"
    strange.write_bytes(clip.read_bytes())
    with page_of(site) as page:
        for path, message in (
            (wrong, "notes.mp4 is not a video"),
            (large, "large.mp4 is too large (1.1 MB); up to 1 MB are accepted"),
        ):
            page.set_input_files("#file", path)
            page.wait_for_selector(f"#error:has-text('{message}')")
            assert page.locator("#video").is_hidden()
        choose(page, strange)
        assert strange.name in page.inner_text("#facts") and page.locator("img[src=x]").count() == 0
        assert page.locator("#error").is_hidden()


@pytest.mark.skipif(find_spec("axe_playwright_python") is None, reason="needs axe")
@pytest.mark.parametrize("width", [1366, 390])
def test_the_page_is_accessible_and_fits(site, clip, width):
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
    with page_of(site, width) as first:
        page = first.context.browser.new_context(bypass_csp=True).new_page()
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(site[0])
        choose(page, clip)
        page.click("summary")
        page.click("#preview")
        page.wait_for_selector("#preview-result:not([hidden])", timeout=LONG)
        page.click("#start")
        page.wait_for_selector("#done:not([hidden])", timeout=LONG)
        page.evaluate(script)
        found = page.evaluate("axe.run()")["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
        sideways = "document.documentElement.scrollWidth - innerWidth"
        assert page.evaluate(sideways) <= 0


def test_everything_can_be_reached_and_used_with_the_keyboard(site, clip):
    with page_of(site) as page:
        choose(page, clip)
        reached, last = [], None
        for _ in range(40):
            page.keyboard.press("Tab")
            last = page.evaluate("document.activeElement.id || document.activeElement.tagName")
            reached.append(last)
            if last == "start":
                break
        for name in ("file", "prompt", "scale", "SUMMARY", "frame", "x", "y", "preview", "start"):
            assert name in reached, reached
        page.focus("#x")
        before = page.locator("#square").evaluate("e => e.style.left")
        page.keyboard.press("Home")
        assert page.input_value("#x") == "0"
        outline = page.locator("#x").evaluate("e => getComputedStyle(e).outlineStyle")
        assert outline != "none" and re.match(r"-?[\d.]+%", before)
