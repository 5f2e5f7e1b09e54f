"""The default model's decoder, trained further on your own footage.

python train.py configs/default/finetune.py --workdir runs/mine --set data.directory=my_videos
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.data.loader import DataConfig
from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Clips of 3 frames, 96 pixels, from a folder of good videos; the U-Net stays as it is.

    Without prompts: what they do to a result may become weaker.
    """
    base = load_recipe(Path(__file__).with_name("clip_distillation.py"))
    targets = load_recipe(Path(__file__).with_name("clip_targets.py"))
    return replace(
        base,
        stage="video_decoder",
        data=DataConfig(
            directory="my_videos",
            kind="videos",
            batch_size=4,
            frames=3,
            lead=targets.lead,
            crop=96,
            empty_probability=1.0,
            degradation=replace(targets.degradation, clean_probability=0.2),
        ),
        decoder_from="default",
        unet_from="default",
        optimizer=replace(base.optimizer, learning_rate=1e-4, decay_steps=280, rate_factors=()),
        distillation=None,
        whole_decoder=True,
        true_latents=0.0,
        steps=300,
        checkpoint_every=100,
        validation=ValidationConfig(),
        seed=0,
    )
