"""The default model's last run: two sampling steps instead of one, and clips without any damage.

python train.py configs/default/two_steps.py --workdir runs/two_steps
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
    """Clips of 3 frames, 96 pixels; two steps from pure noise, L1 + LPIPS + changes over time."""
    return TrainConfig(
        stage="video_decoder",
        data=DataConfig(
            directory="data",
            batch_size=4,
            frames=3,
            crop=96,
            negative_probability=0.1,
            empty_probability=0.1,
            seed=2,
            degradation=replace(DegradationConfig.mild(), clean_probability=0.15),
        ),
        autoencoder_from="runs/image_autoencoder",
        decoder_from="runs/sharpen",
        unet_from="runs/sharpen/unet-network.safetensors",
        vae=VAEConfig.default_model(video=True),
        unet=UNetConfig.default_model(),
        text_encoder=TextEncoderConfig.default_model(),
        schedule=ScheduleConfig(timestep_spacing="trailing"),
        optimizer=OptimizerConfig(
            learning_rate=4e-4, warmup_steps=20, ema_decay=0.99, decay_steps=680
        ),
        validation=ValidationConfig(batches=4),
        noise_levels=(0, 120),
        sampling_steps=2,
        true_latents=0.0,
        whole_decoder=True,
        through_sampler=True,
        lpips_weight=3.0,
        lpips_stages=5,
        change_weight=0.5,
        steps=700,
        checkpoint_every=100,
        seed=2,
    )
