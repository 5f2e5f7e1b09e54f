"""The temporal layers of a small U-Net, on clips with camera motion.

python train.py configs/small/temporal_unet.py --workdir runs/temporal_unet
"""

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Clips of 8 frames, 96 pixels, the image layers frozen."""
    return TrainConfig(
        stage="temporal_unet",
        data=DataConfig(
            directory="data",
            batch_size=3,
            frames=8,
            crop=96,
            negative_probability=0.1,
            empty_probability=0.1,
            degradation=DegradationConfig.mild(),
        ),
        autoencoder_from="runs/image_autoencoder",
        unet_from="runs/image_unet",
        vae=VAEConfig.small(video=False),
        unet=UNetConfig.small(),
        text_encoder=TextEncoderConfig.default_model(),
        optimizer=OptimizerConfig(learning_rate=3e-4, ema_decay=0.995),
        validation=ValidationConfig(batches=4),
        steps=400,
    )
