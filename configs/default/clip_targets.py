"""Teacher targets of clips.

python -m uav_jax.training.make_targets configs/default/clip_targets.py
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.recipes import load_recipe
from uav_jax.training.make_targets import TargetsConfig


def config() -> TargetsConfig:
    """The images' recipe for 3 frames of 160 pixels."""
    images = load_recipe(Path(__file__).with_name("image_targets.py"))
    return replace(
        images,
        out="data/clip_targets",
        records=640,
        validation_records=16,
        frames=3,
        crop=160,
        seed=1,
    )
