"""Default settings that a model directory names."""

import pytest

from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.weights.model_files import find_model


def test_the_shipped_defaults_are_read():
    settings = UpscaleSettings.from_json(find_model("default").defaults())
    assert settings.tile_size == 192 and settings.color_fix == "none"
    assert UpscaleSettings.from_json({"propagation_steps": [1, 2]}).propagation_steps == (1, 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tile": 3}, "defaults.json: 'tile'; expected some of prompt"),
        ({"tile_size": "3"}, "defaults.json: tile_size '3'; expected a int"),
        ({"edge": 1.5}, "edge 1.5; expected a int"),
        ({"use_video_vae": 1}, "use_video_vae 1; expected a bool"),
        ({"color_fix": ["none"]}, r"color_fix \('none',\); expected a str"),
        ({"guidance_scale": None}, "guidance_scale None; expected a float"),
        ({"propagation_steps": ["x"]}, "expected a list of int"),
        ({"scene_prompts": [1]}, "expected a list of str"),
        ({"edge": 10**9}, "edge 1000000000 is outside"),
    ],
)
def test_values_of_another_kind_are_refused_in_one_line(values, message):
    with pytest.raises(ValueError, match=message):
        UpscaleSettings.from_json(values)
