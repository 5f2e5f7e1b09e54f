"""Configuration of the optical-flow network."""

from dataclasses import asdict, dataclass

import jax.numpy as jnp
from jax.typing import DTypeLike

from uav_jax.models.bounds import MAX_CHANNELS, as_tuple, check_int, check_ints, shown


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
        check_ints("RAFT encoder_channels", self.encoder_channels, [3], 1, MAX_CHANNELS)
        check_ints("RAFT motion_channels", self.motion_channels, [4], 1, MAX_CHANNELS)
        for name, low, high in (
            ("feature_channels", 1, MAX_CHANNELS),
            ("hidden_channels", 1, MAX_CHANNELS),
            ("motion_out_channels", 3, MAX_CHANNELS),
            ("head_channels", 1, MAX_CHANNELS),
            ("correlation_levels", 1, 8),
            ("correlation_radius", 1, 16),
            ("iterations", 1, 100),
        ):
            check_int(f"RAFT {name}", getattr(self, name), low, high)

    @classmethod
    def from_published(cls, config: dict, **settings) -> "RAFTConfig":
        """From our ``propagator/config.json``; {} means the released network, which has none."""
        names = set(cls.__dataclass_fields__) - {"dtype", "param_dtype"}
        if unknown := sorted(set(config) - names):
            raise ValueError(
                f"RAFT config {shown(unknown[0])}; expected some of {', '.join(sorted(names))}"
            )
        return cls(**{name: as_tuple(value) for name, value in config.items()}, **settings)

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
