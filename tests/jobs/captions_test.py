"""Prompts of scenes: from the file beside a video, from a model, and each in its own scene."""

import numpy as np
import pytest

from tests.clips import make_video, smooth_frames
from uav_jax.cli import main
from uav_jax.jobs import captions
from uav_jax.jobs.captions import load_captioner, scene_prompts, sidecar
from uav_jax.video.probe import probe


@pytest.fixture
def source(tmp_path):
    frames = np.repeat(np.array([30, 30, 200, 200], np.uint8), 16 * 24 * 3).reshape(4, 16, 24, 3)
    return probe(make_video(tmp_path / "clip.mkv", frames, range(4)))


def brightness(frame):
    return "a dark room" if frame.mean() < 128 else "a bright  sky"


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("a dog, \n", ("a dog,", "a dog,")),
        ("a dog\n\na cat\n", ("a dog", "a cat")),
        ("a dog\na cat\na bird\n", ("a dog, a cat, a bird",) * 2),
    ],
)
def test_the_file_beside_a_video_has_a_line_for_each_scene_or_one_for_all(source, text, prompts):
    sidecar(source.path).write_text(text)
    assert scene_prompts(source, (2,), lambda: pytest.fail("a model was loaded")) == prompts


def test_without_a_file_and_a_model_prompts_are_empty(source):
    assert scene_prompts(source, (2,)) == ("", "")
    assert not sidecar(source.path).exists()


def test_the_first_frame_of_each_scene_is_described_once(source):
    described = scene_prompts(source, (2,), lambda: brightness)
    assert described == ("a dark room", "a bright  sky")
    assert scene_prompts(source, (2,), lambda: pytest.fail("described again")) == described


def test_without_pytorch_or_weights_a_line_says_what_to_do(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(captions, "find_spec", lambda name: None)
    arguments = ["-i", str(source.path), "-o", str(tmp_path / "out"), "--caption", "auto"]
    assert main(arguments) == 2
    assert 'captions need PyTorch; pip install ".[caption]"' in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


def test_a_model_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"no caption model at '.*nowhere'; fetch one"):
        load_captioner(str(tmp_path / "nowhere"))


def test_a_blip_model_of_random_weights_describes_a_frame(tmp_path):
    torch = pytest.importorskip("torch")
    from tests.jobs.tiny_blip import WORDS, write_tiny_blip

    torch.manual_seed(0)
    write_tiny_blip(tmp_path)
    caption = load_captioner(str(tmp_path))
    frame = smooth_frames(1, 40, 56)[0]
    words = caption(frame)
    assert words == caption(frame)
    assert words and set(words.split()) <= set(WORDS)
