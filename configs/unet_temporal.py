"""Stage 1 at the released size: the temporal layers, the image U-Net frozen.

    python train.py configs/unet_temporal.py --workdir runs/unet_temporal

starts from the converted released weights in ``models/released`` (convert.py). One clip of 8 frames
of 320 x 320 pixels for every chip of 16.
"""

import jax.numpy as jnp

from uav_jax.data.loader import DataConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig, ValidationConfig
from uav_jax.training.mesh import MeshConfig


def config() -> TrainConfig:
    """bfloat16 compute, float32 master weights, every block recomputed in the backward pass."""
    return TrainConfig(
        stage="temporal_unet",
        data=DataConfig(
            directory="data",
            batch_size=16,
            frames=8,
            crop=320,
            negative_probability=0.1,
            empty_probability=0.1,
        ),
        autoencoder_from="models/released",
        unet_from="models/released",
        text_from="models/released",
        vae=VAEConfig.released(video=False, dtype=jnp.bfloat16),
        unet=UNetConfig.released(dtype=jnp.bfloat16, remat="blocks"),
        text_encoder=TextEncoderConfig.released(dtype=jnp.bfloat16),
        optimizer=OptimizerConfig(learning_rate=1e-4, warmup_steps=1000, ema_decay=0.9999),
        mesh=MeshConfig(fsdp=16),
        frozen_dtype="bfloat16",
        validation=ValidationConfig(batches=1),
        sampling_steps=30,
        steps=70_000,
        checkpoint_every=1000,
    )
