"""Teacher targets of single frames.

python -m uav_jax.training.make_targets configs/default/image_targets.py
"""

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.variety import VarietyConfig
from uav_jax.training.make_targets import TargetsConfig


def config() -> TargetsConfig:
    """Crops of 192 pixels with the damage that the video decoder is trained for."""
    return TargetsConfig(
        photographs="data",
        out="data/image_targets",
        records=448,
        validation_records=32,
        lead=6,
        degradation=DegradationConfig.everyday(),
        variety=VarietyConfig(reduction=3.0),
    )
