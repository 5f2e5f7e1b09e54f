"""Teacher targets of single frames.

python -m uav_jax.training.make_targets configs/default/image_targets.py
"""

from dataclasses import replace

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.variety import VarietyConfig
from uav_jax.training.make_targets import TargetsConfig


def config() -> TargetsConfig:
    """Crops of 192 pixels with the damage that the video decoder is trained for."""
    mild = DegradationConfig.mild()
    degradation = replace(
        mild,
        clean_probability=0.1,
        first=replace(
            mild.first, blur_probability=0.8, blur_sigma=(0.2, 2.8), noise_probability=0.45
        ),
        video_probability=0.8,
    )
    return TargetsConfig(
        photographs="data",
        out="data/image_targets",
        records=448,
        validation_records=32,
        lead=6,
        degradation=degradation,
        variety=VarietyConfig(reduction=3.0),
    )
