"""Configuration of the video U-Net."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import DTypeLike

from uav_jax.layers.remat import Remat
from uav_jax.models.bounds import (
    MAX_CHANNELS,
    MAX_LEVELS,
    as_tuple,
    check_bool,
    check_int,
    check_ints,
    required,
    shown,
)

_PUBLISHED = (
    "block_out_channels",
    "attention_head_dim",
    "cross_attention_dim",
    "layers_per_block",
    "only_cross_attention",
    "in_channels",
    "out_channels",
    "norm_num_groups",
    "num_class_embeds",
)
"""What a published configuration has to say."""

MAX_NOISE_LEVEL = 350
"""Of the low-resolution frames in the published training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UNetConfig:
    """Stable Diffusion x4 upscaler's U-Net inflated to video.

    ``only_cross_attention[i]`` makes attention 1 of level ``i`` look at the text instead of at the
    pixels; level 0 has no attention at all. ``num_heads`` is the checkpoint's
    ``attention_head_dim``, which despite its name counts heads.
    """

    block_out_channels: tuple[int, ...]
    num_heads: int
    cross_attention_dim: int
    layers_per_block: int = 2
    only_cross_attention: tuple[bool, ...] = (True, True, True, False)
    in_channels: int = 7
    out_channels: int = 4
    norm_num_groups: int = 32
    num_noise_levels: int = 1000  # rows of the noise level table
    max_noise_level: int = MAX_NOISE_LEVEL  # largest level the model was trained with
    rotary_dims: int = 32  # channels of each head that are rotated
    remat: Remat = "nothing"  # what the backward pass recomputes
    dtype: DTypeLike = jnp.float32  # compute
    param_dtype: DTypeLike = jnp.float32  # storage

    def __post_init__(self):
        self._check_bounds()
        if len(self.only_cross_attention) != len(self.block_out_channels):
            raise ValueError(
                f"only_cross_attention has {len(self.only_cross_attention)} entries for "
                f"{len(self.block_out_channels)} levels; give one per level"
            )
        for i, channels in enumerate(self.block_out_channels):
            if channels % self.norm_num_groups:
                raise ValueError(
                    f"block_out_channels {channels} is no multiple of {self.norm_num_groups} groups"
                )
            if i and (channels % self.num_heads or channels // self.num_heads < self.rotary_dims):
                raise ValueError(
                    f"{channels} channels over {self.num_heads} heads: the width of a head must be "
                    f"whole and at least the {self.rotary_dims} rotated channels"
                )

    def _check_bounds(self) -> None:
        channels = self.block_out_channels
        check_ints("unet block_out_channels", channels, range(1, MAX_LEVELS + 1), 1, MAX_CHANNELS)
        for name, high in (
            ("num_heads", 256),
            ("cross_attention_dim", MAX_CHANNELS),
            ("layers_per_block", 8),
            ("in_channels", 64),
            ("out_channels", 64),
            ("norm_num_groups", 1024),
            ("num_noise_levels", 10_000),
            ("rotary_dims", 512),
        ):
            check_int(f"unet {name}", getattr(self, name), 1, high)
        check_int("unet max_noise_level", self.max_noise_level, 0, self.num_noise_levels - 1)
        if not isinstance(self.only_cross_attention, tuple):
            raise ValueError(
                f"unet only_cross_attention {shown(self.only_cross_attention)}; expected a value "
                "per level"
            )
        for value in self.only_cross_attention:
            check_bool("unet only_cross_attention", value)

    @classmethod
    def from_published(cls, config: dict, **settings) -> "UNetConfig":
        """From the checkpoint's ``unet_video_config.json``; unknown architectures are refused."""
        expected = {
            "act_fn": "silu",
            "center_input_sample": False,
            "downsample_padding": 1,
            "dual_cross_attention": False,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "mid_block_scale_factor": 1,
            "norm_eps": 1e-5,
            "use_linear_projection": True,
            "mid_temporal": True,
        }
        required(config, "unet", _PUBLISHED)
        channels = as_tuple(config["block_out_channels"])
        check_ints("unet block_out_channels", channels, range(1, MAX_LEVELS + 1), 1, MAX_CHANNELS)
        levels = list(range(len(channels)))
        expected |= {"down_temporal_idx": levels, "up_temporal_idx": levels}
        for name, value in expected.items():
            if config.get(name, value) != value:
                raise ValueError(
                    f"unet config {name} = {shown(config[name])}; only {value!r} is supported"
                )
        temporal = config.get("temporal_module_config") or {}
        kinds = (temporal.get("attention_block_types") or []) if isinstance(temporal, dict) else [1]
        if not isinstance(kinds, list) or any(kinds):
            raise ValueError("unet config: attention inside the temporal modules is not supported")
        return cls(
            block_out_channels=channels,
            num_heads=config["attention_head_dim"],
            cross_attention_dim=config["cross_attention_dim"],
            layers_per_block=config["layers_per_block"],
            only_cross_attention=as_tuple(config["only_cross_attention"]),
            in_channels=config["in_channels"],
            out_channels=config["out_channels"],
            norm_num_groups=config["norm_num_groups"],
            num_noise_levels=config["num_class_embeds"],
            **{"max_noise_level": config.get("max_noise_level", MAX_NOISE_LEVEL), **settings},
        )

    def to_published(self) -> dict:
        """The JSON that the published code builds this network from."""
        levels = len(self.block_out_channels)
        attention = ["CrossAttn"] * (levels - 1)
        config = {
            "_class_name": "UNetVideoModel",
            "act_fn": "silu",
            "attention_head_dim": self.num_heads,
            "block_out_channels": list(self.block_out_channels),
            "center_input_sample": False,
            "cross_attention_dim": self.cross_attention_dim,
            "down_block_types": [f"{a}DownBlock3D" for a in ["", *attention]],
            "downsample_padding": 1,
            "dual_cross_attention": False,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "in_channels": self.in_channels,
            "layers_per_block": self.layers_per_block,
            "mid_block_scale_factor": 1,
            "norm_eps": 1e-5,
            "norm_num_groups": self.norm_num_groups,
            "num_class_embeds": self.num_noise_levels,
            "only_cross_attention": list(self.only_cross_attention),
            "out_channels": self.out_channels,
            "sample_size": 128,
            "up_block_types": [f"{a}UpBlock3D" for a in [*attention, ""]],
            "use_linear_projection": True,
            "down_temporal_idx": list(range(levels)),
            "mid_temporal": True,
            "up_temporal_idx": list(range(levels)),
            "temporal_module_config": {"attention_block_types": ["", ""]},
        }
        if self.max_noise_level != MAX_NOISE_LEVEL:
            config["max_noise_level"] = self.max_noise_level
        return config

    @classmethod
    def released(cls, **settings) -> "UNetConfig":
        """The released model, 691 M parameters."""
        return cls(
            block_out_channels=(256, 512, 512, 1024),
            num_heads=8,
            cross_attention_dim=1024,
            **settings,
        )

    @classmethod
    def golden_small(cls, **settings) -> "UNetConfig":
        """The small size of the golden files."""
        return cls(
            block_out_channels=(32, 64, 64, 96), num_heads=2, cross_attention_dim=48, **settings
        )

    @classmethod
    def default_model(cls, **settings) -> "UNetConfig":
        """The network of the weights that ship with the package.

        Norms of one group: its latents are maps that are mostly the same everywhere, which norms of
        single channels would remove.
        """
        return cls(
            block_out_channels=(8, 32, 32),
            num_heads=1,
            cross_attention_dim=64,
            layers_per_block=1,
            only_cross_attention=(True, True, True),
            norm_num_groups=1,
            max_noise_level=60,
            **settings,
        )

    @classmethod
    def small(cls, **settings) -> "UNetConfig":
        """The released model's form with 5.6 M parameters, for trials of training."""
        return cls(
            block_out_channels=(32, 64, 64, 96),
            num_heads=2,
            cross_attention_dim=64,
            layers_per_block=1,
            norm_num_groups=16,
            **settings,
        )
