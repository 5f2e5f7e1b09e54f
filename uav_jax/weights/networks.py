"""The networks of a model: where their files lie, how they are configured, named and built."""

from collections.abc import Callable
from dataclasses import dataclass

from flax import nnx

from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.clip.model import TextEncoder
from uav_jax.models.raft.config import RAFTConfig
from uav_jax.models.raft.model import RAFT
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.weights import tables
from uav_jax.weights.rules import WeightTable


def _diffusers(folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}/diffusion_pytorch_model.{kind}" for kind in ("safetensors", "bin"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """One of the five networks. Paths are relative to a released directory."""

    name: str
    weights: tuple[str, ...]  # first that exists is read; the first is written
    config: str
    table: WeightTable
    configure: Callable[..., object]  # (published JSON, **dtypes) -> config
    build: Callable[..., nnx.Module]  # (config, rngs=) -> network
    optional: bool = False
    image_weights: tuple[str, ...] = ()  # of its image network in a Stable Diffusion directory


NETWORKS = {
    network.name: network
    for network in (
        Network(
            name="unet",
            weights=("unet/unet_video.bin", "unet/unet_video.safetensors"),
            config="unet/unet_video_config.json",
            table=tables.UNET,
            configure=UNetConfig.from_published,
            build=VideoUNet,
            image_weights=_diffusers("unet"),
        ),
        Network(
            name="vae_3d",
            weights=("vae/vae_3d.bin", "vae/vae_3d.safetensors"),
            image_weights=_diffusers("vae"),
            config="vae/vae_3d_config.json",
            table=tables.VAE,
            configure=VAEConfig.from_published,
            build=VideoAutoencoder,
            optional=True,
        ),
        Network(
            name="vae_video",
            weights=("vae/vae_video.bin", "vae/vae_video.safetensors"),
            config="vae/vae_video_config.json",
            table=tables.VAE,
            configure=VAEConfig.from_published,
            build=VideoAutoencoder,
            optional=True,
        ),
        Network(
            name="text_encoder",
            weights=("text_encoder/pytorch_model.bin", "text_encoder/model.safetensors"),
            config="text_encoder/config.json",
            table=tables.TEXT_ENCODER,
            configure=TextEncoderConfig.from_published,
            build=TextEncoder,
        ),
        Network(
            name="propagator",
            weights=("propagator/raft-things.pth", "propagator/raft-things.safetensors"),
            config="propagator/config.json",
            table=tables.RAFT,
            configure=RAFTConfig.from_published,
            build=RAFT,
            optional=True,
        ),
    )
}

SCHEDULERS = ("scheduler", "low_res_scheduler")
"""Folders that hold a ``scheduler_config.json`` each."""
