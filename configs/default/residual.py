"""The default model's next run: its decoder adds to the bicubically enlarged frames.

python train.py configs/default/residual.py --workdir runs/residual
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig


def config() -> TrainConfig:
    """From sharpen's networks, the last convolution from zero; some clips without damage."""
    base = load_recipe(Path(__file__).with_name("few_step.py"))
    assert base.vae
    degradation = replace(base.data.degradation, clean_probability=0.15)
    return replace(
        base,
        data=replace(base.data, seed=3, degradation=degradation),
        decoder_from="runs/sharpen",
        unet_from="runs/sharpen/unet-network.safetensors",
        vae=replace(base.vae, residual=True),
        optimizer=replace(base.optimizer, learning_rate=6e-4, ema_decay=0.995, decay_steps=1470),
        zeroed=("decoder.conv_out.",),
        lpips_window=96,
        lpips_frames=1,
        change_weight=0.4,
        steps=1015,
        seed=3,
    )
