"""Models that know certain phrases only: what prompts mean to them, and what users are told."""

import json
import shutil
from dataclasses import replace

import jax.numpy as jnp
import pytest

from tests.stub import stub_upscaler
from uav_jax.jobs.prepare import _model_notes
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.weights.model_files import DEFAULT_DIRECTORY, ModelFiles


@pytest.fixture
def upscaler():
    return stub_upscaler()


def test_only_known_phrases_change_the_text(upscaler):
    def encoded(**fields):
        return upscaler.encode_text(replace(upscaler.defaults, **fields))

    plain, grain = encoded(), encoded(prompt="keep film grain")
    assert not jnp.array_equal(plain, grain)
    assert jnp.array_equal(encoded(prompt="a dog on the grass"), plain)
    assert jnp.array_equal(encoded(prompt="a dog,  Keep film grain"), grain)
    pair = encoded(prompt="sharp", guidance_scale=2.0, n_prompt="blur, worst quality")
    assert jnp.allclose(pair[0], encoded(prompt="sharp")[0], atol=1e-5)
    assert jnp.allclose(pair[1], plain[0], atol=1e-5)


def test_what_is_ignored_is_said(upscaler):
    settings = replace(upscaler.defaults, prompt="rain, drawing", scene_prompts=("rain", "fog"))
    assert upscaler.ignored_phrases(settings) == ["rain", "fog"]
    (note,) = _model_notes(upscaler, settings)
    assert note == (
        "ignored: 'rain', 'fog'; this model reads only 'drawing', 'smooth', 'sharp', "
        "'keep film grain', separated by commas"
    )
    assert not _model_notes(upscaler, replace(upscaler.defaults, prompt="drawing, sharp"))
    assert not _model_notes(upscaler, upscaler.defaults)
    far = replace(upscaler.defaults, inference_steps=4, guidance_scale=3.0, n_prompt="blur")
    notes = _model_notes(upscaler, far)
    assert [note.split(":")[0] for note in notes] == ["ignored", "steps 4", "guidance 3"]


def test_other_models_read_every_prompt(tiny_release):
    upscaler = Upscaler.from_pretrained(tiny_release)
    settings = replace(upscaler.defaults, prompt="rain")
    assert upscaler.phrases is None and upscaler.ignored_phrases(settings) == []


@pytest.mark.parametrize("text", ['{"phrases": "drawing"}', '{"phrases": [1]}', "{}"])
def test_a_damaged_list_of_phrases_is_refused(tmp_path, text):
    model = shutil.copytree(DEFAULT_DIRECTORY, tmp_path / "model")
    (model / "prompts.json").write_text(text)
    with pytest.raises(ValueError, match=r"prompts\.json is no object of the form"):
        ModelFiles(model).phrases()


def test_the_default_model_has_one_decoder_and_a_highest_noise_level(upscaler):
    with pytest.raises(ValueError, match="has no vae_3d; use it with --use_video_vae"):
        upscaler.check(replace(upscaler.defaults, use_video_vae=False))
    with pytest.raises(ValueError, match=r"noise level 61 is outside 0\.\.60"):
        upscaler.check(replace(upscaler.defaults, noise_level=61))
    config = json.loads((DEFAULT_DIRECTORY / "unet" / "unet_video_config.json").read_text())
    assert config["max_noise_level"] == 60
