"""The default model's next run: as few_step, with more weight on what changes from frame to frame.

python train.py configs/default/sharpen.py --workdir runs/sharpen
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """From few_step's networks, for fewer steps."""
    base = load_recipe(Path(__file__).with_name("few_step.py"))
    return replace(
        base,
        data=replace(base.data, seed=1),
        decoder_from="runs/few_step",
        unet_from="runs/few_step/unet-network.safetensors",
        optimizer=replace(
            base.optimizer, learning_rate=4e-4, warmup_steps=10, ema_decay=0.98, decay_steps=290
        ),
        validation=ValidationConfig(batches=1),
        change_weight=0.6,
        steps=300,
        checkpoint_every=50,
        seed=1,
    )
