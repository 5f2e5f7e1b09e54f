"""Recipes that users start from: what they need of a user's folder, and what cannot work."""

from dataclasses import replace
from pathlib import Path

import pytest

from uav_jax.models.unet.config import UNetConfig
from uav_jax.recipes import load_recipe
from uav_jax.training.config import AdversarialConfig
from uav_jax.training.validation import held_out

FOLDER = Path(__file__).parents[2] / "configs" / "default"


@pytest.fixture
def finetune():
    return load_recipe(FOLDER / "finetune.py")


def test_a_folder_of_one_video_is_enough_to_fine_tune(finetune):
    assert finetune.validation.batches == 0, "one video leaves none to hold out"
    assert finetune.data.empty_probability == 1, "captions are no phrases of the default model"


def test_validation_is_without_phrases_and_undamaged_inputs():
    data = held_out(load_recipe(FOLDER / "clip_distillation.py").data)
    assert (data.plain_probability, data.undamaged_probability) == (1, 0)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(adversarial=AdversarialConfig(start_step=1)), "trunk has no adversarial loss"),
        (dict(decoder_from=None, autoencoder_from="x"), "trunk needs decoder_from"),
        (dict(noise_levels=(0, 61)), r"noise_levels \(0, 61\): the U-Net takes 0\.\.60"),
    ],
)
def test_what_a_decoder_with_a_trunk_cannot_do_is_refused(finetune, change, message):
    with pytest.raises(ValueError, match=message):
        replace(finetune, **change)


def test_the_highest_noise_level_is_a_row_of_the_table():
    with pytest.raises(ValueError, match="max_noise_level 1000"):
        replace(UNetConfig.small(), max_noise_level=1000)


def test_inputs_without_damage_are_for_teacher_targets(finetune):
    with pytest.raises(ValueError, match=r"undamaged_probability 0\.5 is for kind teacher_targets"):
        replace(finetune.data, undamaged_probability=0.5)
