"""Configuration of the optical-flow network."""

from dataclasses import asdict, dataclass

import jax.numpy as jnp
from jax.typing import DTypeLike


@dataclass(frozen=True, kw_only=True, slots=True)
class RAFTConfig:
    """RAFT (Teed & Deng, ECCV 2020) with the released ("things") widths as defaults."""

    encoder_channels: tuple[int, int, int] = (64, 96, 128)
    feature_channels: int = 256
    hidden_channels: int = 128  # the context network gives twice as many: hidden state and input
    motion_channels: tuple[int, int, int, int] = (
        256,
        192,
        128,
        64,
    )  # convc1, convc2, convf1, convf2
    motion_out_channels: int = 128  # flow included
    head_channels: int = 256
    correlation_levels: int = 4
    correlation_radius: int = 4
    iterations: int = 20
    dtype: DTypeLike = jnp.float32  # compute
    param_dtype: DTypeLike = jnp.float32  # storage

    def __post_init__(self):
        if self.iterations < 1:
            raise ValueError(f"RAFT iterations {self.iterations} is not positive")

    def to_published(self) -> dict:
        """JSON that ``RAFTConfig(**...)`` makes this from; the published RAFT has none."""
        fields = asdict(self)
        return {name: fields[name] for name in fields if "dtype" not in name}

    @classmethod
    def default_model(cls, **settings) -> "RAFTConfig":
        """The default model's: the released shape with narrow layers."""
        return cls(
            encoder_channels=(32, 48, 64),
            feature_channels=96,
            hidden_channels=48,
            motion_channels=(96, 64, 48, 32),
            motion_out_channels=64,
            head_channels=64,
            iterations=10,
            **settings,
        )

    @classmethod
    def released(cls, **settings) -> "RAFTConfig":
        """The released network, 5.3 M parameters."""
        return cls(**settings)
