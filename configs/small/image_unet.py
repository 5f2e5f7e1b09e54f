"""A small image U-Net: v-prediction on single crops.

python train.py configs/small/image_unet.py --workdir runs/image_unet
"""

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Single 96-pixel crops; a tenth under the negative prompt with degraded targets."""
    return TrainConfig(
        stage="image_unet",
        data=DataConfig(
            directory="data",
            batch_size=16,
            crop=96,
            negative_probability=0.1,
            empty_probability=0.1,
            degradation=DegradationConfig.mild(),
        ),
        autoencoder_from="runs/image_autoencoder",
        vae=VAEConfig.small(video=False),
        unet=UNetConfig.small(),
        text_encoder=TextEncoderConfig.default_model(),
        optimizer=OptimizerConfig(learning_rate=5e-4, ema_decay=0.998),
        validation=ValidationConfig(batches=4),
        steps=1200,
    )
