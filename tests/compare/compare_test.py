"""``--compare``: a split video and a page that hold what they should, and a slider that slides."""

import dataclasses

import numpy as np
import pytest

from tests.browser import needs_chromium, opened
from tests.clips import audio_packets, make_video, smooth_frames
from uav_jax.compare.page import busiest, render
from uav_jax.compare.write import compare, enlarged
from uav_jax.video.probe import probe


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    small = smooth_frames(9, 24, 32)
    source = probe(make_video(folder / "clip.mp4", small, range(9), audio=True))
    bright = np.full((9, 96, 128, 3), 230, np.uint8)
    make_video(folder / "result.mp4", bright, range(9))
    record = {"settings": {"prompt": "<b>a cat</b>"}, "input": "clip.mp4"}
    targets = (folder / "result_compare.html", folder / "result_compare.mp4")
    page, video = compare(source, folder / "result.mp4", record, targets)
    return source, video, page


def test_the_split_video_shows_input_left_and_result_right(made):
    source, video, _ = made
    frames = np.stack(list(probe(video).stream())).astype(int)
    assert frames.shape == (9, 96, 128, 3)
    before = np.stack([enlarged(f, 96, 128) for f in source.stream()]).astype(int)
    assert np.abs(frames[:, :, :60] - before[:, :, :60]).mean() < 4
    assert np.abs(frames[:, :, 68:] - 230).mean() < 4
    assert audio_packets(video) == audio_packets(source.path)


def test_the_page_is_whole_and_escapes_what_users_wrote(made):
    text = made[2].read_text()
    assert text.count('class="pair"') == 6 and text.count("<input") == 6
    assert "&lt;b&gt;a cat" in text and "<b>a cat" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_frames_that_do_not_match_are_refused(made, tmp_path):
    source = dataclasses.replace(made[0], pts=made[0].pts[:4], durations=made[0].durations[:4])
    with pytest.raises(ValueError, match="has 9 frames, its source 4"):
        compare(source, made[2].with_name("result.mp4"), {}, (tmp_path / "a.html",))


def test_crops_show_where_there_is_most_to_see():
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[150:180:2, 220:260] = 255
    top, left = busiest(frame, 64)
    assert top <= 150 and top + 64 >= 179 and left <= 220 and left + 64 >= 260
    assert busiest(np.zeros((20, 30, 3), np.uint8), 96) == (0, 0)


@needs_chromium
@pytest.mark.parametrize("width", [1366, 390])
def test_the_slider_moves_the_line_and_nothing_scrolls_sideways(made, width):
    with opened(made[2].as_uri(), width, 800) as page:
        slider = page.locator("input[type=range]").first
        assert slider.get_attribute("aria-label")
        slider.focus()
        page.keyboard.press("Home")
        style = page.locator(".pair").first.get_attribute("style")
        assert style and "0%" in style
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width


HOSTILE = "</title><script>document.title='taken'</script><img src=x onerror=\"document.title=1\">"


def hostile_page():
    frame = np.zeros((8, 8, 3), np.uint8)
    values = {HOSTILE: "$title ${figures} $", "prompt": HOSTILE, "name": "\udcff \u202e \x1b[31m"}
    return render(f"$title {HOSTILE}", {0: (frame, frame)}, ([frame[0]], [frame[0]]), values)


def test_hostile_names_and_settings_are_text():
    text = hostile_page()
    text.encode("utf-8")
    assert "<img src=x" not in text and "<script>document" not in text
    assert "$title ${figures} $" in text and r"\xff \u202e \x1b[31m" in text


@needs_chromium
def test_nothing_of_a_hostile_page_runs(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(hostile_page().replace("<h1>", f"{HOSTILE}<h1>"), encoding="utf-8")
    with opened(path.as_uri(), 800, 800) as page:
        assert page.title().startswith("$title </title>")  # even of markup that is not escaped
        slider = page.locator("input[type=range]").first
        slider.focus()
        page.keyboard.press("Home")
        assert "0%" in page.locator(".pair").first.get_attribute("style")
