"""The optical-flow network of the default model, on photographs that move in pieces.

python train.py configs/default/flow.py --workdir runs/flow
"""

from uav_jax.data.loader import DataConfig
from uav_jax.models.raft.config import RAFTConfig
from uav_jax.training.config import OptimizerConfig, TrainConfig, ValidationConfig


def config() -> TrainConfig:
    """Pairs of 128 x 128 pixels with up to 12 pixels of motion and occlusion."""
    return TrainConfig(
        stage="flow",
        data=DataConfig(directory="data", kind="flow", batch_size=16, frames=2, crop=128),
        raft=RAFTConfig.default_model(),
        optimizer=OptimizerConfig(learning_rate=4e-4, ema_decay=0.998, decay_steps=2900),
        validation=ValidationConfig(batches=4),
        steps=3000,
    )
