"""Configuration of the text encoder."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import DTypeLike

from uav_jax.models.bounds import (
    MAX_CHANNELS,
    MAX_LAYERS,
    check_int,
    check_real,
    required,
    shown,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextEncoderConfig:
    """CLIP's text transformer (pre-norm, causal, exact GELU)."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int = 77
    layer_norm_eps: float = 1e-5
    projection_dim: int = 512  # in the published file, unused by the upscaler
    dtype: DTypeLike = jnp.float32  # compute
    param_dtype: DTypeLike = jnp.float32  # storage

    def __post_init__(self):
        for name, high in (
            ("vocab_size", 1_000_000),
            ("hidden_size", MAX_CHANNELS),
            ("intermediate_size", 4 * MAX_CHANNELS),
            ("num_hidden_layers", MAX_LAYERS),
            ("num_attention_heads", 256),
            ("max_position_embeddings", 4096),
            ("projection_dim", MAX_CHANNELS),
        ):
            check_int(f"text encoder {name}", getattr(self, name), 1, high)
        check_real("text encoder layer_norm_eps", self.layer_norm_eps, 0.0, 1.0)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of {self.num_attention_heads} heads"
            )

    @classmethod
    def from_published(cls, config: dict, **settings) -> "TextEncoderConfig":
        """From ``text_encoder/config.json``; another activation than exact GELU is refused."""
        if config.get("hidden_act") != "gelu":
            raise ValueError(
                f"text encoder hidden_act {shown(config.get('hidden_act'))}; expected 'gelu'"
            )
        sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
        required(config, "text encoder", (*sizes, "num_attention_heads"))
        names = set(cls.__dataclass_fields__) - {"dtype", "param_dtype"}
        return cls(**{k: v for k, v in config.items() if k in names}, **settings)

    def to_published(self) -> dict:
        """The JSON that ``transformers`` builds this network from."""
        names = set(self.__dataclass_fields__) - {"dtype", "param_dtype"}
        return {
            "architectures": ["CLIPTextModel"],
            "model_type": "clip_text_model",
            "hidden_act": "gelu",
            **{name: getattr(self, name) for name in sorted(names)},
        }

    @classmethod
    def released(cls, **settings) -> "TextEncoderConfig":
        """The released model's encoder: 23 layers of width 1024."""
        return cls(
            vocab_size=49408,
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=23,
            num_attention_heads=16,
            **settings,
        )

    @classmethod
    def golden_small(cls, **settings) -> "TextEncoderConfig":
        """The small size of the golden files."""
        return cls(
            vocab_size=1000,
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=4,
            projection_dim=32,
            **settings,
        )

    @classmethod
    def default_model(cls, **settings) -> "TextEncoderConfig":
        """The encoder that ships with the package."""
        return cls(
            vocab_size=1024,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            projection_dim=64,
            **settings,
        )
