"""Released-size networks against the published implementation (minutes, up to 16 GB)."""

import gc

import jax.numpy as jnp
import pytest
from flax import nnx

from tests.parity import golden as g
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.clip.model import TextEncoder
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.weights import tables

pytestmark = pytest.mark.full
TOLERANCE = g.LOW_VARIANCE_TOLERANCE


@pytest.fixture(autouse=True)
def release_memory():
    yield
    gc.collect()


def released(name: str, config, build, table):
    names = g.load_json("full_checkpoints.json")["state_dicts"][name]
    return g.network(lambda: build(config, rngs=None), table, names)


@pytest.mark.parametrize("case", g.cases("full_unet"))
def test_released_unet(case):
    values = g.arrays(f"full_unet_{case}")
    B, T, H, W = values["shape"]
    config = UNetConfig.from_published(g.load_json("full_checkpoints.json")["configs"]["unet"])
    assert config == UNetConfig.released()
    unet = released("unet", config, VideoUNet, tables.UNET)
    output = nnx.jit(lambda unet, *inputs: unet(*inputs))(
        unet,
        g.last(g.random_input(f"full_x_{case}", (B, 4, T, H, W))),
        g.last(g.random_input(f"full_lr_{case}", (B, 3, T, H, W))),
        jnp.full(B, values["timestep"]),
        jnp.full(B, values["noise_level"]),
        g.random_input(f"full_ctx_{case}", (B, 77, 1024)),
    )
    assert g.difference(g.first(output), values["output"]) <= TOLERANCE


@pytest.mark.parametrize("name", ["vae_3d", "vae_video"])
def test_released_autoencoder(name):
    values = g.arrays(f"full_{name}")
    video = name == "vae_video"
    config = VAEConfig.from_published(g.load_json("full_checkpoints.json")["configs"][name])
    assert config == VAEConfig.released(video=video)
    vae = released(name, config, VideoAutoencoder, tables.VAE)
    latents = g.last(g.random_input("full_z", (1, 4, 2, 8, 10)))
    low_res = 0.5 * g.last(g.random_input("full_img", (1, 3, 2, 8, 10))) if video else None
    decoded = nnx.jit(lambda vae, *inputs: vae.decode(*inputs))(vae, latents, low_res)
    assert g.difference(g.first(decoded), values["decoded"]) <= TOLERANCE
    frames = 0.5 * g.last(g.random_input("full_pix", (1, 3, 1, 32, 24)))
    moments = nnx.jit(lambda vae, x: jnp.concatenate(vae.moments(x), -1))(vae, frames)
    assert g.difference(g.first(moments), values["moments"]) <= TOLERANCE


def test_released_text_encoder():
    values = g.arrays("full_text_encoder")
    config = TextEncoderConfig.from_published(
        g.load_json("full_checkpoints.json")["configs"]["text_encoder"]
    )
    assert config == TextEncoderConfig.released()
    encoder = released("text_encoder", config, TextEncoder, tables.TEXT_ENCODER)
    output = nnx.jit(lambda encoder, tokens: encoder(tokens))(encoder, values["input_ids"])
    assert g.difference(output, values["last_hidden_state"]) <= TOLERANCE
