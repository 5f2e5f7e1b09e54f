"""The default model's U-Net and decoder together, through the one sampling step that it will take.

python train.py configs/default/few_step.py --workdir runs/few_step
"""

from dataclasses import replace

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Clips of 3 frames, 96 pixels; one step from pure noise, L1 + LPIPS + changes over time."""
    return TrainConfig(
        stage="video_decoder",
        data=DataConfig(
            directory="data",
            batch_size=4,
            frames=3,
            crop=96,
            negative_probability=0.1,
            empty_probability=0.1,
            degradation=DegradationConfig.mild(),
        ),
        autoencoder_from="runs/image_autoencoder",
        decoder_from="runs/video_decoder",
        unet_from="runs/temporal_unet",
        vae=replace(VAEConfig.default_model(video=True), residual=False),
        unet=UNetConfig.default_model(),
        text_encoder=TextEncoderConfig.default_model(),
        schedule=ScheduleConfig(timestep_spacing="trailing"),
        optimizer=OptimizerConfig(
            learning_rate=5e-4, warmup_steps=30, ema_decay=0.99, decay_steps=700
        ),
        validation=ValidationConfig(batches=4),
        noise_levels=(0, 120),
        sampling_steps=1,
        true_latents=0.0,
        whole_decoder=True,
        through_sampler=True,
        lpips_weight=3.0,
        lpips_stages=5,
        change_weight=0.3,
        steps=700,
        checkpoint_every=100,
    )
