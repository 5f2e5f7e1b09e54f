"""Recipes and the fields changed on the command line."""

from pathlib import Path

import pytest

from uav_jax.training.cli import load_recipe, main, override

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_recipe_loads_and_is_named_for_its_stage(path):
    assert load_recipe(path).stage == path.stem


def test_single_fields_can_be_changed_at_any_depth():
    config = load_recipe(CONFIGS[0])
    config = override(config, "steps=7")
    config = override(config, "optimizer.learning_rate=3e-4")
    config = override(config, "data.directory=elsewhere")
    assert (config.steps, config.optimizer.learning_rate) == (7, 3e-4)
    assert config.data.directory == "elsewhere"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["absent.py"], "recipe absent.py does not exist"),
        ([str(CONFIGS[0]), "--set", "optimizer.rate=1"], "no config field 'optimizer.rate'"),
        ([str(CONFIGS[0]), "--set", "steps=0"], "steps 0 is not positive"),
        ([str(CONFIGS[0]), "--set", "stage=flow"], "stage 'flow'"),
        ([str(CONFIGS[0]), "--set", "data.directory=/nowhere"], "/nowhere"),
    ],
)
def test_mistakes_are_one_line_and_status_2(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--workdir", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("train.py: ") and message in said[-1]


def test_a_file_without_a_recipe_is_refused(tmp_path, capsys):
    (tmp_path / "empty.py").write_text("")
    assert main([str(tmp_path / "empty.py"), "--workdir", str(tmp_path)]) == 2
    assert "has no function config()" in capsys.readouterr().err
