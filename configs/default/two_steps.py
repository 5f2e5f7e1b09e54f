"""A trial that does not ship: two sampling steps instead of one, and clips without any damage.

python train.py configs/default/two_steps.py --workdir runs/two_steps

docs/default_model.md says what it scored.
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig


def config() -> TrainConfig:
    """From sharpen's networks; L1 + LPIPS + changes over time, as there."""
    base = load_recipe(Path(__file__).with_name("few_step.py"))
    degradation = replace(base.data.degradation, clean_probability=0.15)
    return replace(
        base,
        data=replace(base.data, seed=2, degradation=degradation),
        decoder_from="runs/sharpen",
        unet_from="runs/sharpen/unet-network.safetensors",
        optimizer=replace(base.optimizer, learning_rate=4e-4, warmup_steps=20, decay_steps=680),
        sampling_steps=2,
        change_weight=0.5,
        seed=2,
    )
