"""The default model's decoder, trained further on your own footage.

python train.py configs/default/finetune.py --workdir runs/mine --set data.directory=my_videos
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Clips of 3 frames, 96 pixels, from a folder of good videos; the U-Net stays as it is."""
    base = load_recipe(Path(__file__).with_name("anneal.py"))
    return replace(
        base,
        data=replace(
            base.data,
            directory="my_videos",
            kind="videos",
            variety=None,
            seed=0,
            negative_probability=0.0,
            empty_probability=0.0,
            degradation=replace(base.data.degradation, clean_probability=0.15),
        ),
        autoencoder_from="default",
        decoder_from="default",
        unet_from="default",
        optimizer=replace(base.optimizer, learning_rate=1e-4, decay_steps=280),
        validation=ValidationConfig(),
        through_sampler=False,
        steps=300,
        checkpoint_every=100,
        seed=0,
    )
