"""A small video decoder from nothing, and the U-Net with it.

python train.py configs/small/video_decoder.py --workdir runs/video_decoder
"""

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig
from uav_jax.data.variety import VarietyConfig
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import (
    AdversarialConfig,
    OptimizerConfig,
    TrainConfig,
    ValidationConfig,
)


def config() -> TrainConfig:
    """L1, LPIPS, changes over time and a discriminator, through the one sampling step.

    Clips of 3 frames (a decode group) of 128 pixels. At noise level 0 only fidelity counts, from 60
    on everything (``full_perception_level``). LPIPS's window is smaller than the crop and moves by
    single pixels, so that VGG's pooling meets the latents' grid at any offset.
    """
    return TrainConfig(
        stage="video_decoder",
        data=DataConfig(
            directory="data",
            batch_size=16,
            frames=3,
            crop=128,
            negative_probability=0.1,
            empty_probability=0.1,
            degradation=DegradationConfig.everyday(),
            variety=VarietyConfig(),
        ),
        autoencoder_from="runs/image_autoencoder",
        unet_from="runs/temporal_unet",
        vae=VAEConfig.small(video=True),
        unet=UNetConfig.small(),
        text_encoder=TextEncoderConfig.default_model(),
        schedule=ScheduleConfig(timestep_spacing="trailing"),
        optimizer=OptimizerConfig(
            learning_rate=5e-4, warmup_steps=200, ema_decay=0.999, decay_steps=7800
        ),
        validation=ValidationConfig(batches=2, noise_level=40),
        noise_levels=(0, 60),
        full_perception_level=60,
        sampling_steps=1,
        true_latents=0.0,
        whole_decoder=True,
        through_sampler=True,
        lpips_weight=3.0,
        lpips_stages=5,
        lpips_window=96,
        lpips_frames=1,
        change_weight=0.3,
        adversarial=AdversarialConfig(start_step=2000, weight=0.4),
        steps=4160,  # of 8,000 that the rate is laid out for
        checkpoint_every=1000,
    )
