"""The default model's last run: LPIPS at two sizes, weaker noise in the U-Net's condition.

python train.py configs/default/polish.py --workdir runs/polish
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig


def config() -> TrainConfig:
    """From residual's networks; the rate falls to zero."""
    base = load_recipe(Path(__file__).with_name("residual.py"))
    return replace(
        base,
        data=replace(base.data, seed=4),
        decoder_from="runs/residual",
        unet_from="runs/residual/unet-network.safetensors",
        optimizer=replace(
            base.optimizer, learning_rate=4e-4, warmup_steps=20, ema_decay=0.99, decay_steps=680
        ),
        noise_levels=(0, 60),
        lpips_scales=2,
        zeroed=(),
        change_weight=0.3,
        steps=700,
        seed=4,
    )
