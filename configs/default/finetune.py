"""The default model's decoder, trained further on your own footage.

python train.py configs/default/finetune.py --workdir runs/mine --set data.directory=my_videos
"""

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig


def config() -> TrainConfig:
    """Clips of 3 frames, 96 pixels, from a folder of good videos; the U-Net stays as it is."""
    return TrainConfig(
        stage="video_decoder",
        data=DataConfig(
            directory="my_videos",
            kind="videos",
            batch_size=4,
            frames=3,
            crop=96,
            degradation=DegradationConfig.mild(),
        ),
        autoencoder_from="default",
        decoder_from="default",
        unet_from="default",
        vae=VAEConfig.default_model(video=True),
        unet=UNetConfig.default_model(),
        text_encoder=TextEncoderConfig.default_model(),
        schedule=ScheduleConfig(timestep_spacing="trailing"),
        optimizer=OptimizerConfig(
            learning_rate=1e-4, warmup_steps=10, ema_decay=0.98, decay_steps=290
        ),
        noise_levels=(0, 120),
        sampling_steps=2,
        true_latents=0.0,
        whole_decoder=True,
        lpips_weight=3.0,
        lpips_stages=5,
        change_weight=0.5,
        steps=300,
        checkpoint_every=100,
    )
