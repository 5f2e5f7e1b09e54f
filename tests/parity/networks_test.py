"""Small networks against the published implementation."""

import jax.numpy as jnp
import pytest
from flax import nnx

from tests.parity import golden as g
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.clip.model import TextEncoder
from uav_jax.models.raft.config import RAFTConfig
from uav_jax.models.raft.model import RAFT
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.motion.flow import clip_flow
from uav_jax.weights import tables


def tolerance(case: str) -> float:
    return g.LOW_VARIANCE_TOLERANCE if case == "lowvar" else g.NETWORK_TOLERANCE


def small_unet(**options) -> VideoUNet:
    config = UNetConfig.from_published(g.load_json("small_configs.json")["unet"])
    names = g.load_json("small_state_dicts.json")["unet_small"]
    return g.network(lambda: VideoUNet(config, rngs=None), tables.UNET, names, **options)


def small_vae(name: str, **options) -> VideoAutoencoder:
    config = VAEConfig.from_published(g.load_json("small_configs.json")[name])
    names = g.load_json("small_state_dicts.json")[f"{name}_small"]
    return g.network(lambda: VideoAutoencoder(config, rngs=None), tables.VAE, names, **options)


def raft() -> RAFT:
    names = g.load_json("small_state_dicts.json")["raft"]
    return g.network(lambda: RAFT(RAFTConfig.released(), rngs=None), tables.RAFT, names)


@nnx.jit
def run_unet(model, *inputs):
    return model(*inputs)


@pytest.mark.parametrize("case", g.cases("unet"))
def test_unet_predicts_the_published_v(case):
    values = g.arrays(f"unet_{case}")
    B, T, H, W = values["shape"]
    output = run_unet(
        small_unet(low_variance=case == "lowvar"),
        g.last(g.random_input(f"unet_x_{case}", (B, 4, T, H, W))),
        g.last(g.random_input(f"unet_lr_{case}", (B, 3, T, H, W))),
        jnp.full(B, values["timestep"]),
        jnp.full(B, values["noise_level"]),
        g.random_input(f"unet_ctx_{case}", (B, 77, 48)),
    )
    assert g.difference(g.first(output), values["output"]) <= tolerance(case)


@pytest.mark.parametrize(
    "name, case", [(name, case) for name in ("vae_3d", "vae_video") for case in g.cases(name)]
)
def test_autoencoder_decodes_and_encodes_as_published(name, case):
    values = g.arrays(f"{name}_{case}")
    vae = small_vae(name, low_variance=case == "lowvar")
    B, _, T, H, W = values["decoded"].shape
    latents = g.last(g.random_input(f"vae_z_{case}", (B, 4, T, H // 4, W // 4)))
    low_res = None
    if name == "vae_video":
        low_res = 0.5 * g.last(g.random_input(f"vae_img_{case}", (B, 3, T, H // 4, W // 4)))
    decoded = nnx.jit(lambda vae, *a: vae.decode(*a))(vae, latents, low_res, values.get("w_lr", 1))
    assert g.difference(g.first(decoded), values["decoded"]) <= tolerance(case)
    if "moments" in values:
        video = 0.5 * g.last(g.random_input(f"vae_x_{case}", (B, 3, T, H, W)))
        moments = nnx.jit(lambda vae, x: jnp.concatenate(vae.moments(x), -1))(vae, video)
        assert g.difference(g.first(moments), values["moments"]) <= tolerance(case)


@pytest.mark.parametrize("low_variance", [False, True])
def test_text_encoder_gives_the_published_hidden_state(low_variance):
    small = g.load_json("text_encoder_small.json")
    config = TextEncoderConfig.from_published(small["config"])
    encoder = g.network(
        lambda: TextEncoder(config, rngs=None),
        tables.TEXT_ENCODER,
        small["state_dict"],
        low_variance=low_variance,
    )
    values = g.arrays("text_encoder_lowvar" if low_variance else "text_encoder")
    output = encoder(values["input_ids"])
    limit = g.LOW_VARIANCE_TOLERANCE if low_variance else g.NETWORK_TOLERANCE
    assert g.difference(output, values["last_hidden_state"]) <= limit


def test_raft_gives_the_published_flow_after_every_stored_iteration():
    values, model = g.arrays("raft"), raft()
    images = jnp.asarray(g.last(values["image1"])), jnp.asarray(g.last(values["image2"]))
    counts = [int(key[4:]) for key in values if key.startswith("low_")]
    assert counts
    for count in counts:
        low, full = nnx.jit(lambda m, a, b, n=count: m(a, b, n))(model, *images)
        assert g.difference(g.first(low), values[f"low_{count}"]) <= g.NETWORK_TOLERANCE
        assert g.difference(g.first(full), values[f"up_{count}"]) <= g.NETWORK_TOLERANCE


def test_flow_of_a_clip_in_both_directions_with_the_published_row_quirk():
    values = g.arrays("raft_bi")
    video = jnp.asarray(g.last(values["video"]))
    flow = nnx.jit(lambda m, v: clip_flow(m, v, iterations=8, strict=True))(raft(), video)
    for direction in ("forward", "backward"):
        actual = g.first(getattr(flow, direction))
        assert g.difference(actual, values[direction]) <= g.NETWORK_TOLERANCE
