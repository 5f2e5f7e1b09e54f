"""The default model's last run: what the one before it learnt, settled on everyday video.

python train.py configs/default/anneal.py --workdir runs/anneal
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.data.variety import VarietyConfig
from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig


def config() -> TrainConfig:
    """The rate falls to zero; small crops and no discriminator, so that two CPU cores are enough.

    Clips come from the middle of a coded video (``lead``), and parts of photographs are taken with
    less regard to their detail.
    """
    base = load_recipe(Path(__file__).with_name("video_decoder.py"))
    return replace(
        base,
        data=replace(
            base.data,
            batch_size=8,
            crop=96,
            lead=6,
            variety=VarietyConfig(drawing_probability=0.5, detailed_probability=0.4),
            seed=1,
        ),
        decoder_from="runs/video_decoder",
        unet_from="runs/video_decoder/unet-network.safetensors",
        optimizer=replace(
            base.optimizer,
            learning_rate=2e-4,
            warmup_steps=20,
            ema_decay=0.99,
            decay_steps=680,
        ),
        validation=replace(base.validation, noise_level=20),
        lpips_window=64,
        adversarial=None,
        steps=700,
        checkpoint_every=100,
        seed=1,
    )
