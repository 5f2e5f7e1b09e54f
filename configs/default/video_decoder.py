"""The video decoder of the default model, from nothing, on latents that its U-Net makes.

python train.py configs/default/video_decoder.py --workdir runs/video_decoder
"""

from dataclasses import replace

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig
from uav_jax.data.variety import VarietyConfig
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Clips of 3 frames (a decode group), 96 pixels, L1, the U-Net in the one step it will take."""
    mild = DegradationConfig.mild()
    degradation = replace(
        mild,
        clean_probability=0.1,
        first=replace(
            mild.first, blur_probability=0.8, blur_sigma=(0.2, 2.8), noise_probability=0.45
        ),
        video_probability=0.8,
    )
    return TrainConfig(
        stage="video_decoder",
        data=DataConfig(
            directory="data",
            batch_size=8,
            frames=3,
            crop=96,
            degradation=degradation,
            variety=VarietyConfig(),
        ),
        autoencoder_from="runs/image_autoencoder",
        unet_from="runs/temporal_unet",
        vae=VAEConfig.default_model(video=True),
        unet=UNetConfig.default_model(),
        text_encoder=TextEncoderConfig.default_model(),
        schedule=ScheduleConfig(timestep_spacing="trailing"),
        optimizer=OptimizerConfig(learning_rate=8e-4, warmup_steps=50, ema_decay=0.99),
        validation=ValidationConfig(batches=2),
        noise_levels=(0, 60),
        sampling_steps=1,
        true_latents=0.0,
        whole_decoder=True,
        lpips_weight=0.0,
        steps=1000,
        checkpoint_every=200,
    )
