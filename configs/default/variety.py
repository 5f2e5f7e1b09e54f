"""The default model's last run: more varied pictures, more damage, LPIPS at places off the grid.

python train.py configs/default/variety.py --workdir runs/variety
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.data.variety import VarietyConfig
from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig


def config() -> TrainConfig:
    """From polish's networks.

    LPIPS's window is smaller than the crop and moves by single pixels, so that it sees the
    decoder's grid of four pixels at any offset; before, the two were aligned in every example.
    """
    base = load_recipe(Path(__file__).with_name("polish.py"))
    mild = base.data.degradation
    degradation = replace(
        mild,
        clean_probability=0.1,
        first=replace(
            mild.first, blur_probability=0.8, blur_sigma=(0.2, 2.8), noise_probability=0.45
        ),
        video_probability=0.8,
    )
    return replace(
        base,
        data=replace(base.data, seed=5, degradation=degradation, variety=VarietyConfig()),
        decoder_from="runs/polish",
        unet_from="runs/polish/unet-network.safetensors",
        optimizer=replace(
            base.optimizer, learning_rate=5e-4, warmup_steps=20, ema_decay=0.99, decay_steps=1580
        ),
        lpips_window=80,
        change_weight=0.2,
        steps=1600,
        seed=5,
    )
