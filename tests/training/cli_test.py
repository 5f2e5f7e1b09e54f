"""Recipes and the fields changed on the command line."""

from pathlib import Path

import pytest

from uav_jax.recipes import load_recipe, override
from uav_jax.training.cli import main
from uav_jax.training.make_targets import TargetsConfig

FOLDER = Path(__file__).parents[2] / "configs"
SMALL = str(FOLDER / "small" / "image_autoencoder.py")
LARGE = str(FOLDER / "unet_temporal.py")


RECIPES = sorted(p for p in FOLDER.glob("*/*.py") if not p.stem.endswith("_targets"))
TARGETS = sorted((FOLDER / "default").glob("*_targets.py"))
"""Recipes of stages, and of the targets that a teacher makes for them."""


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_loads_and_is_named_for_its_stage(path):
    recipe = load_recipe(path)
    if recipe.data.kind == "videos":
        assert path.stem == "finetune"
    elif recipe.stage == "distillation":
        assert path.stem in ("image_distillation", "clip_distillation")
    else:
        assert path.stem == recipe.stage


@pytest.mark.parametrize("path", TARGETS, ids=lambda p: p.stem)
def test_recipes_of_teacher_targets_load(path):
    assert isinstance(load_recipe(path), TargetsConfig)


def test_a_dry_run_counts_the_released_size(capsys):
    assert main([LARGE, "--dry-run", "--devices", "16"]) == 0
    said = capsys.readouterr().out
    for line in (
        "parameters  691,036,436 in the network",
        "trained     217,638,400",
        "frozen      473,398,036",  # 16 of them the rotary frequencies
        "mesh        data 1 x fsdp 16 x context 1 = 16 devices",
        "batch       16 clips of 8 frames, 320 x 320",
    ):
        assert line in said


def test_single_fields_can_be_changed_at_any_depth():
    config = load_recipe(Path(SMALL))
    config = override(config, "steps=7")
    config = override(config, "optimizer.learning_rate=3e-4")
    config = override(config, "data.directory=elsewhere")
    assert (config.steps, config.optimizer.learning_rate) == (7, 3e-4)
    assert config.data.directory == "elsewhere"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["absent.py"], "recipe absent.py does not exist"),
        ([SMALL, "--set", "optimizer.rate=1"], "no config field 'optimizer.rate'"),
        ([SMALL, "--set", "steps=0"], "steps 0 is not positive"),
        ([SMALL, "--set", "stage=films"], "stage 'films'"),
        ([SMALL, "--set", "through_sampler=True"], "image_autoencoder has no sampler"),
        ([SMALL, "--set", "lpips_stages=6"], "lpips_stages 6 is outside 1..5"),
        ([SMALL, "--set", "stage=flow"], "stage flow does not go with data kind 'photos'"),
        ([SMALL, "--set", "data.directory=/nowhere"], "/nowhere"),
        ([SMALL, "--set", "data.kind=films"], "data kind 'films'; expected one of photos"),
        ([SMALL, "--set", "mesh.data=3"], "does not fit"),
        ([SMALL, "--set", "data.batch_size=6", "--set", "accumulate=4"], "divide into 4 parts"),
        ([SMALL, "--distributed", "somewhere"], "expected auto or HOST:PORT,PROCESSES,INDEX"),
        ([LARGE, "--dry-run", "--devices", "3"], "does not fit 3 device(s)"),
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
