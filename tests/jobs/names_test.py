"""Names of results."""

from pathlib import Path

import pytest

from uav_jax.jobs.names import distinct_names, is_result_of, result_stem
from uav_jax.jobs.options import JobOptions
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.position import Part, Position
from uav_jax.video.source import ReadOptions

SETTINGS = UpscaleSettings(noise_level=20, guidance_scale=1.5, inference_steps=2)


@pytest.mark.parametrize(
    ("options", "tail"),
    [
        ({}, ""),
        ({"scale": 2}, "_x2"),
        ({"height": 1080}, "_h1080"),
        ({"output": OutputFormat(codec="h265")}, "_h265"),
        ({"output": OutputFormat(codec="png")}, ""),
        ({"pre_scale": 0.5, "suffix": "mine"}, "_pre0.5_mine"),
        (
            {"read": ReadOptions(part=Part(Position.parse("0:10"), Position.parse("#90")))},
            "_0.10-90",
        ),
    ],
)
def test_what_differs_from_the_defaults_is_in_the_name(options, tail):
    stem = result_stem("clip", SETTINGS, JobOptions(**options))
    assert stem == f"clip_n20_g1.5_s2{tail}"
    assert is_result_of(Path(f"{stem}.mp4"), "clip")


def test_long_names_are_shortened_and_stay_different():
    a, b = (result_stem("ä" * 120 + end, SETTINGS, JobOptions()) for end in ("one", "two"))
    assert a != b and max(len(name.encode()) for name in (a, b)) < 240
    assert a.endswith("_n20_g1.5_s2")


def test_every_source_has_a_name_of_its_own(tmp_path):
    places = ("x/a.mp4", "x/a.mov", "y/a.mp4", "y/b.mp4", "y/B.MP4", "z/c.mkv")
    for place in places:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    names = distinct_names([tmp_path / place for place in places])
    assert len({name.casefold() for name in names}) == len(places)
    assert names[-1] == "c"
    assert distinct_names([tmp_path / "x/a.mp4", tmp_path / "y/a.mp4"]) == ["x_a", "y_a"]
    deep = ("x/d/a.mp4", "y/d/a.mp4", "z/d_a_1.mp4")
    for place in deep:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    assert len(set(distinct_names([tmp_path / place for place in deep]))) == 3


@pytest.mark.parametrize(
    ("name", "clip", "expected"),
    [
        ("city_n0_g1_s1.mp4", "city", True),
        ("city_n60_g6.5_s30_p24_26_h1080.mkv", "city", True),
        ("city2_n0_g1_s1.mp4", "city", False),
        ("city_notes.mp4", "city", False),
        ("city.mp4", "city", False),
    ],
)
def test_results_are_known_by_their_names(name, clip, expected):
    assert is_result_of(Path(name), clip) is expected
