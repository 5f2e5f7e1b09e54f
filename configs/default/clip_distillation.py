"""The video decoder with its temporal layers, distilled on clips, and the U-Net.

python train.py configs/default/clip_distillation.py --workdir runs/clip_distillation
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig


def config() -> TrainConfig:
    """4 clips of 3 frames a step from where the single frames ended, flicker counted too."""
    images = load_recipe(Path(__file__).with_name("image_distillation.py"))
    return replace(
        images,
        data=replace(
            images.data,
            directory="data/clip_targets",
            batch_size=4,
            frames=3,
            crop=96,
            seed=1,
        ),
        decoder_from="runs/image_distillation",
        unet_from="runs/image_distillation/unet-network.safetensors",
        optimizer=replace(images.optimizer, learning_rate=3e-4, decay_steps=2970),
        lpips_frames=2,
        lpips_window=64,
        distillation=replace(images.distillation, blocking_weight=0.1),
        change_weight=1.0,
        steps=3000,
        seed=1,
    )
