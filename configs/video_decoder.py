"""Stage 2 at the released size: the video decoder's condition branch and 3-D layers.

    python train.py configs/video_decoder.py --workdir runs/video_decoder

on latents that the stage-1 U-Net of ``runs/unet_temporal`` samples. One clip of 3 frames (a decode
group) of 256 x 256 pixels for every chip of 16.
"""

import jax.numpy as jnp

from uav_jax.data.loader import DataConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import (
    AdversarialConfig,
    OptimizerConfig,
    TrainConfig,
    ValidationConfig,
)
from uav_jax.training.mesh import MeshConfig


def config() -> TrainConfig:
    """L1 + LPIPS, from step 5,000 on adversarial; bfloat16 compute, float32 master weights."""
    return TrainConfig(
        stage="video_decoder",
        data=DataConfig(directory="data", batch_size=16, frames=3, crop=256),
        autoencoder_from="models/released",
        unet_from="runs/unet_temporal",
        text_from="models/released",
        vae=VAEConfig.released(video=True, dtype=jnp.bfloat16, remat="blocks"),
        unet=UNetConfig.released(dtype=jnp.bfloat16),
        text_encoder=TextEncoderConfig.released(dtype=jnp.bfloat16),
        optimizer=OptimizerConfig(learning_rate=5e-5, warmup_steps=1000, ema_decay=0.9999),
        mesh=MeshConfig(fsdp=16),
        frozen_dtype="bfloat16",
        adversarial=AdversarialConfig(start_step=5000),
        validation=ValidationConfig(batches=1),
        sampling_steps=30,
        steps=20_000,
        checkpoint_every=1000,
    )
