"""Configuration of the two autoencoders."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from uav_jax.layers.remat import Remat
from uav_jax.models.bounds import (
    MAX_CHANNELS,
    MAX_LAYERS,
    MAX_LEVELS,
    as_tuple,
    check_bool,
    check_int,
    check_ints,
    check_real,
    required,
)

PUBLISHED_GROUP = 3
"""Frames that the published decoder sees at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrunkConfig:
    """The image network of a ``TrunkDecoder`` and what is added to it.

    Positions count the body's layers: 0 is before the first, ``depth`` behind the last.
    """

    width: int = 64  # channels
    depth: int = 16  # layers of the body
    condition_at: tuple[int, ...] = (0, 5, 10)  # where the latents' SFT acts
    temporal_at: tuple[int, ...] = (4, 12)  # where 3-D convolutions are added
    group: int = 6  # frames decoded together

    def __post_init__(self):
        if self.group < 2:
            raise ValueError(f"group {self.group}; expected at least 2 frames")
        for name in ("condition_at", "temporal_at"):
            positions = getattr(self, name)
            if sorted(set(positions)) != list(positions) or not all(
                0 <= position <= self.depth for position in positions
            ):
                raise ValueError(
                    f"{name} {positions} are no ascending positions from 0 to depth {self.depth}"
                )


def _trunk_config(config: dict) -> TrunkConfig:
    expected = list(TrunkConfig.__dataclass_fields__)
    if sorted(config) != sorted(expected):
        raise ValueError(f"vae config: trunk has {sorted(config)}; expected {sorted(expected)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    return TrunkConfig(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class VAEConfig:
    """The factor-4 autoencoder of the x4 upscaler.

    ``condition_channels`` > 0 makes it ``vae_video``: 3-D layers in the decoder's residual blocks
    and the low-resolution branch with spatial feature transform (SFT). 0 is the plain ``vae_3d``.
    """

    block_out_channels: tuple[int, ...]
    layers_per_block: int = 2
    norm_num_groups: int = 32
    latent_channels: int = 4
    scaling_factor: float = 0.08333  # of latents between autoencoder and diffusion
    condition_channels: int = 0
    remat: Remat = "nothing"  # what the decoder's backward pass recomputes
    residual_blocks: int = 0  # of a video decoder that is a residual network (ours); 0: published
    trunk: TrunkConfig | None = None  # of a video decoder around a pretrained image network (ours)
    mid_attention: bool = True  # single-head self-attention over H*W in both middle blocks
    dtype: DTypeLike = jnp.float32  # compute
    param_dtype: DTypeLike = jnp.float32  # storage

    def __post_init__(self):
        channels = self.block_out_channels
        check_ints("vae block_out_channels", channels, range(1, MAX_LEVELS + 1), 1, MAX_CHANNELS)
        check_int("vae layers_per_block", self.layers_per_block, 1, 8)
        check_int("vae norm_num_groups", self.norm_num_groups, 1, 1024)
        check_int("vae latent_channels", self.latent_channels, 1, 256)
        check_int("vae condition_channels", self.condition_channels, 0, MAX_CHANNELS)
        check_int("vae residual_blocks", self.residual_blocks, 0, MAX_LAYERS)
        check_real("vae scaling_factor", self.scaling_factor, 1e-4, 1e4)
        check_bool("vae mid_attention", self.mid_attention)
        for channels in (*self.block_out_channels, self.condition_channels):
            if channels % self.norm_num_groups:
                raise ValueError(
                    f"{channels} channels are no multiple of {self.norm_num_groups} groups"
                )
        if self.residual and not self.temporal:
            raise ValueError(
                f"residual_blocks {self.residual_blocks} need the low-resolution branch "
                "(condition_channels > 0)"
            )
        if self.trunk and (self.residual or not self.temporal):
            raise ValueError(
                f"trunk {self.trunk} needs condition_channels > 0 and goes without residual_blocks"
            )
        if self.residual and self.mid_attention:
            raise ValueError(
                f"residual_blocks {self.residual_blocks} go without attention (mid_attention)"
            )

    @property
    def temporal(self) -> bool:
        """Whether this is the video decoder."""
        return self.condition_channels > 0

    @property
    def residual(self) -> bool:
        """Whether the video decoder is a residual super-resolution network."""
        return self.residual_blocks > 0

    @property
    def group(self) -> int:
        """Frames decoded together."""
        return self.trunk.group if self.trunk else PUBLISHED_GROUP

    def image(self) -> "VAEConfig":
        """The plain autoencoder of the same size."""
        return replace(self, condition_channels=0, residual_blocks=0, trunk=None)

    @classmethod
    def from_published(cls, config: dict, **settings) -> "VAEConfig":
        """From ``vae_3d_config.json`` or ``vae_video_config.json``."""
        for earlier in ("add_condition", "residual_decoder"):
            if config.get(earlier):
                raise ValueError(
                    f"vae config: {earlier} is of an earlier default model, whose decoder is gone; "
                    "train or download the model again"
                )
        conditioned = bool(config.get("condition_img"))
        if conditioned != bool(config.get("use_temporal_block")):
            raise ValueError(
                "vae config: condition_img and use_temporal_block differ; the published decoders "
                "have both or neither"
            )
        names = ("in_channels", "out_channels", "act_fn", "block_out_channels", "layers_per_block")
        names += ("norm_num_groups", "latent_channels", "scaling_factor")
        required(config, "vae", names + (("condition_channels",) if conditioned else ()))
        if (config["in_channels"], config["out_channels"], config["act_fn"]) != (3, 3, "silu"):
            raise ValueError("vae config: only 3 input and output channels with silu are supported")
        return cls(
            block_out_channels=as_tuple(config["block_out_channels"]),
            layers_per_block=config["layers_per_block"],
            norm_num_groups=config["norm_num_groups"],
            latent_channels=config["latent_channels"],
            scaling_factor=config["scaling_factor"],
            condition_channels=config["condition_channels"] if conditioned else 0,
            mid_attention=config.get("mid_block_add_attention", True),
            residual_blocks=config.get("residual_blocks", 0),
            trunk=_trunk_config(config["trunk"]) if "trunk" in config else None,
            **settings,
        )

    def to_published(self) -> dict:
        """The JSON that the published code builds this network from."""
        levels = len(self.block_out_channels)
        plus = "_plus" if self.temporal else ""
        config = {
            "_class_name": "AutoencoderKLVideo" if self.temporal else "AutoencoderKL3D",
            "act_fn": "silu",
            "block_out_channels": list(self.block_out_channels),
            "down_block_types": ["DownEncoderBlock3D"] * levels,
            "in_channels": 3,
            "latent_channels": self.latent_channels,
            "layers_per_block": self.layers_per_block,
            "norm_num_groups": self.norm_num_groups,
            "out_channels": 3,
            "sample_size": 256,
            "up_block_types": [f"UpDecoderBlock3D{plus}"] * levels,
            "scaling_factor": self.scaling_factor,
        }
        if not self.mid_attention:
            config["mid_block_add_attention"] = False
        if self.temporal:
            config |= {
                "condition_img": True,
                "condition_channels": self.condition_channels,
                "use_temporal_block": True,
            }
        if self.residual:
            config["residual_blocks"] = self.residual_blocks
        if self.trunk:
            config["trunk"] = {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self.trunk).items()
            }
        return config

    @classmethod
    def released(cls, *, video: bool, **settings) -> "VAEConfig":
        """The released ``vae_3d`` (55 M) or, with ``video``, ``vae_video`` (114 M)."""
        return cls(
            block_out_channels=(128, 256, 512), condition_channels=128 if video else 0, **settings
        )

    @classmethod
    def golden_small(cls, *, video: bool, **settings) -> "VAEConfig":
        """The small sizes of the golden files."""
        return cls(
            block_out_channels=(32, 32, 64), condition_channels=32 if video else 0, **settings
        )

    @classmethod
    def small(cls, *, video: bool, **settings) -> "VAEConfig":
        """Autoencoders for trials of training: no attention, a residual decoder."""
        return cls(
            block_out_channels=(16, 32, 64),
            layers_per_block=1,
            norm_num_groups=8,
            condition_channels=64 if video else 0,
            mid_attention=False,
            scaling_factor=1.0,
            residual_blocks=6 if video else 0,
            **settings,
        )

    @classmethod
    def default_model(cls, **settings) -> "VAEConfig":
        """The decoder that ships with the package, around a pretrained image network."""
        base = cls.small(video=True, **settings)
        return replace(base, residual_blocks=0, condition_channels=32, trunk=TrunkConfig())
