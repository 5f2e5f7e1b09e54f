"""What a page may send, and what it may not."""

from importlib.resources import files

import pytest

from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.web import requests
from uav_jax.web.limits import MAX_STEPS
from uav_jax.web.refusals import Refusal


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\a b.mp4", "a b.mp4"),
        ('"; rm -rf / #.mp4', "#.mp4"),
        ("\x00\n\u202ea.mp4", "a.mp4"),
        ("..", ".."),
        ("", "video"),
        ("x" * 300 + ".mp4", "x" * 96 + ".mp4"),
        ("x." + "y" * 300, "x." + "y" * 98),
        ("[b]a[/b] [1].mp4", "b] [1].mp4"),
        ("[red]a[1].mp4", "[red]a[1].mp4"),
        ("a\ud800.mp4", "a.mp4"),
    ],
)
def test_names_lose_folders_and_control_signs(given, shown):
    assert requests.shown_name(given) == shown


def test_only_names_of_videos_are_accepted():
    assert requests.suffix_of("A.MP4") == ".mp4"
    with pytest.raises(ValueError, match=r"song\.mp3 is not a video; accepted are \.mp4"):
        requests.suffix_of("song.mp3")


@pytest.mark.parametrize(
    ("head", "accepted"),
    [
        (b"\x00\x00\x00\x20ftypisom", True),
        (b"\x1a\x45\xdf\xa3", True),
        (b"RIFF....AVI ", True),
        (b"#EXTM3U\nfile:///etc/passwd", False),
        (b"ffconcat version 1.0\nfile '/etc/passwd'", False),
        (b"<?xml version='1.0'?><MPD>", False),
        (b"", False),
    ],
)
def test_playlists_are_no_videos_whatever_their_names(head, accepted):
    assert requests.is_video_file(head) is accepted


def test_settings_are_the_forms_and_the_models():
    defaults = UpscaleSettings(inference_steps=4, noise_level=20)
    made = requests.settings_from(
        {"prompt": " a cat ", "guidance_scale": 3, "propagation": True}, defaults
    )
    assert (made.prompt, made.guidance_scale, made.noise_level) == ("a cat", 3.0, 20)
    assert made.propagation_steps and all(0 <= s < 4 for s in made.propagation_steps)
    assert requests.options_from({"scale": 2}).scale == 2
    assert requests.moment_from({"frame": 3, "x": 0.1, "y": 1}).first == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"noise_level": "many"}, "noise_level 'many' is not a number"),
        ({"noise_level": True}, "is not a number"),
        ({"inference_steps": 1.5}, "1.5 is not a whole number"),
        ({"inference_steps": 0}, "steps 0 is outside 1..1000"),
        ({"color_fix": "purple"}, "color fix 'purple'"),
        ({"guidance_scale": float("nan")}, "nan is not a number"),
        ({"guidance_scale": float("inf")}, "inf is not a number"),
        ({"inference_steps": 51}, r"inference_steps 51 is more than the form offers \(1..50\)"),
        ({"prompt": "x" * 501}, "longer than 500 characters"),
        ({"prompt": 3}, "prompt 3 is not text"),
    ],
)
def test_wrong_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        requests.settings_from(values, UpscaleSettings())


def test_wrong_scales_and_places_are_refused():
    with pytest.raises(ValueError, match="scale 5"):
        requests.options_from({"scale": 5})
    with pytest.raises(ValueError, match=r"\(2, 0\.5\) is outside of the picture"):
        requests.moment_from({"x": 2})


def test_only_the_fields_of_the_form_are_kept():
    body = b'{"x": 0.25, "frame": 3, "propagation": true, "other": [1, {"a": null}], "prompt": "a"}'
    kept = {"x": 0.25, "frame": 3, "propagation": True, "prompt": "a"}
    assert requests.parse_settings(body) == kept


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"x": NaN}', "NaN is not a number"),
        (b'{"x": -Infinity}', "-Infinity is not a number"),
        (b'{"other": NaN}', "NaN is not a number"),
        (b'{"x": 1e999}', "1e999 is outside -1e\\+09..1e\\+09"),
        (b'{"frame": 2000000000}', "2000000000 is outside"),
        (b'{"frame": ' + b"9" * 5000 + b"}", "9 is outside"),
        (b"[" * 60_000, "nests too deeply"),
        (b'{"prompt": "\\ud800"}', "unpaired surrogate"),
        (b'{"hdr": "' + b"x" * 501 + b'"}', "hdr is longer than 500 characters"),
        (b'{"from": ["a"]}', "from is a list"),
        (b'{"x": null}', "x is a NoneType"),
    ],
)
def test_values_that_no_form_has_are_unprocessable(body, message):
    with pytest.raises(Refusal, match=message) as refused:
        requests.parse_settings(body)
    assert refused.value.status == 422


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff", b"[1]", b"null", b'"a"'])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(ValueError, match=r"not valid JSON|expected an object"):
        requests.parse_settings(body)


def test_as_many_steps_are_accepted_as_the_form_offers():
    page = files("uav_jax.web").joinpath("static/index.html").read_text()
    assert f'id="inference_steps" type="range" min="1" max="{MAX_STEPS}"' in page
