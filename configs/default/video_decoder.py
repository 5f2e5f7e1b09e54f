"""The video decoder of the default model, on latents that its U-Net makes.

python train.py configs/default/video_decoder.py --workdir runs/video_decoder
"""

from dataclasses import replace

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Clips of 3 frames (a decode group), 96 pixels, L1 + LPIPS."""
    return TrainConfig(
        stage="video_decoder",
        data=DataConfig(
            directory="data",
            batch_size=3,
            frames=3,
            crop=96,
            degradation=DegradationConfig.mild(),
        ),
        autoencoder_from="runs/image_autoencoder",
        unet_from="runs/temporal_unet",
        vae=replace(VAEConfig.default_model(video=True), residual=False),
        unet=UNetConfig.default_model(),
        text_encoder=TextEncoderConfig.default_model(),
        optimizer=OptimizerConfig(learning_rate=5e-4, ema_decay=0.998),
        validation=ValidationConfig(batches=4),
        noise_levels=(20, 120),
        sampling_steps=4,
        whole_decoder=True,
        steps=1460,
    )
