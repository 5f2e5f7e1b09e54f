"""A small image autoencoder.

python train.py configs/small/image_autoencoder.py --workdir runs/image_autoencoder
"""

from uav_jax.data.loader import DataConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Single 96-pixel crops, L1 + LPIPS."""
    return TrainConfig(
        stage="image_autoencoder",
        data=DataConfig(directory="data", batch_size=8, crop=96, low_quality=False),
        vae=VAEConfig.small(video=False),
        optimizer=OptimizerConfig(learning_rate=1e-3, ema_decay=0.99),
        validation=ValidationConfig(batches=4),
        lpips_weight=0.5,
        steps=550,
    )
