"""The video decoder's image layers, pretrained and distilled on single frames, and a small U-Net.

python train.py configs/default/image_distillation.py --workdir runs/image_distillation
"""

from uav_jax.data.loader import DataConfig
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.config import (
    DistillationConfig,
    OptimizerConfig,
    TrainConfig,
    ValidationConfig,
)


def config() -> TrainConfig:
    """8 crops of 128 pixels a step; LPIPS's window moves by single pixels over the crop.

    The U-Net starts from nothing and learns along: its latents tell the decoder the noise level.
    """
    return TrainConfig(
        stage="distillation",
        data=DataConfig(
            kind="teacher_targets",
            directory="data/image_targets",
            batch_size=8,
            crop=128,
            undamaged_probability=0.2,
        ),
        vae=VAEConfig.default_model(),
        unet=UNetConfig.default_model(),
        text_encoder=TextEncoderConfig.default_model(),
        schedule=ScheduleConfig(timestep_spacing="trailing"),
        distillation=DistillationConfig(fidelity_lpips=0.1, teacher_l1=0.3, teacher_sharpening=0.5),
        optimizer=OptimizerConfig(
            learning_rate=2e-4,
            warmup_steps=30,
            ema_decay=0.98,
            decay_steps=170,
            rate_factors=((r"^unet/|condition_|post_quant", 5.0),),
        ),
        validation=ValidationConfig(batches=2, noise_level=60),
        noise_levels=(0, 60),
        full_perception_level=60,
        sampling_steps=1,
        lpips_weight=2.0,
        lpips_stages=4,
        lpips_window=96,
        steps=200,
        log_every=10,
        checkpoint_every=50,
    )
