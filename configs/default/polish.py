"""The default model's last run: U-Net and decoder together, for what is seen.

python train.py configs/default/polish.py --workdir runs/polish
"""

from dataclasses import replace
from pathlib import Path

from uav_jax.recipes import load_recipe
from uav_jax.training.config import TrainConfig


def config() -> TrainConfig:
    """L1 + LPIPS + changes over time, through the one sampling step; the rate falls to zero.

    LPIPS's window is smaller than the crop and moves by single pixels, so that VGG's pooling meets
    the decoder's grid of four pixels at any offset.
    """
    base = load_recipe(Path(__file__).with_name("video_decoder.py"))
    return replace(
        base,
        data=replace(
            base.data, batch_size=6, negative_probability=0.15, empty_probability=0.1, seed=1
        ),
        decoder_from="runs/video_decoder",
        optimizer=replace(
            base.optimizer, learning_rate=6e-4, warmup_steps=20, ema_decay=0.995, decay_steps=1380
        ),
        through_sampler=True,
        lpips_weight=3.0,
        lpips_stages=5,
        lpips_window=64,
        lpips_frames=1,
        change_weight=0.3,
        steps=1400,
        checkpoint_every=100,
        seed=1,
    )
