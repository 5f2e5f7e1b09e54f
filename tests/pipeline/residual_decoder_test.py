"""The residual decoder of small models: a super-resolution network on top of bicubic."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.training.tiny import SMALLEST_UNET, drawn, tiny_recipe
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.pipeline.color import bicubic_x4
from uav_jax.training.decoder import _networks
from uav_jax.training.functional import Functional, initialise
from uav_jax.weights.engine import parameter_shapes

PLAIN = VAEConfig(
    block_out_channels=(8, 8, 8),
    layers_per_block=1,
    norm_num_groups=8,
    condition_channels=8,
    mid_attention=False,
)
RESIDUAL = replace(PLAIN, residual_blocks=2)
MAKE = partial(VideoAutoencoder, RESIDUAL)


def decoded(parameters, latents, low_res):
    return jax.jit(Functional.of(MAKE).bind(parameters).decode)(latents, low_res)


def inputs(height=6, width=5):
    rng = np.random.RandomState(1)
    return [jnp.asarray(rng.standard_normal((1, 2, height, width, c)), jnp.float32) for c in (4, 3)]


class Source:
    """The video decoder as it is before training; of other networks every value is 1."""

    def network(self, name, make, folder, seed):
        if name == "vae_video":
            assert folder is None
            return initialise(make, seed)
        return {n: np.ones_like(v) for n, v in drawn(make).items()}


def test_before_training_the_result_is_bicubic():
    latents, low_res = inputs()
    made = decoded(initialise(MAKE, 0), latents, low_res)
    assert jnp.abs(made[0] - bicubic_x4(low_res[0])).max() < 1e-5


def test_places_far_away_change_nothing():
    """Nothing is normalised over the frame: a tile is what it is in the whole."""
    parameters = drawn(MAKE)
    latents, low_res = inputs(8, 80)
    whole = decoded(parameters, latents, low_res)
    part = decoded(parameters, latents[..., :60, :], low_res[..., :60, :])
    assert jnp.abs(whole[..., : 4 * 20, :] - part[..., : 4 * 20, :]).max() < 1e-5
    assert jnp.abs(whole[..., 4 * 56 : 4 * 60, :] - part[..., 4 * 56 :, :]).max() > 1e-3


def test_published_configurations_have_no_such_key():
    assert "residual_blocks" not in PLAIN.to_published()
    assert VAEConfig.from_published(PLAIN.to_published()) == PLAIN
    assert VAEConfig.from_published(RESIDUAL.to_published()) == RESIDUAL
    assert PLAIN.image() == RESIDUAL.image() == replace(PLAIN, condition_channels=0)


@pytest.mark.parametrize("key", ["add_condition", "residual_decoder"])
def test_an_earlier_default_model_is_refused(key):
    with pytest.raises(ValueError, match=key):
        VAEConfig.from_published(PLAIN.to_published() | {key: True})


def test_from_nothing_the_image_layers_must_learn_too(tmp_path):
    with pytest.raises(ValueError, match="whole_decoder"):
        tiny_recipe(tmp_path, steps=1, stage="video_decoder", vae=RESIDUAL)


@pytest.mark.parametrize(
    "change, value, message",
    [("condition_channels", 0, "low-resolution branch"), ("mid_attention", True, "attention")],
)
def test_it_needs_the_low_resolution_branch_and_no_attention(change, value, message):
    with pytest.raises(ValueError, match=message):
        replace(RESIDUAL, **{change: value})


def test_of_the_image_autoencoder_only_the_encoder_is_taken(tmp_path):
    recipe = tiny_recipe(tmp_path, steps=1, stage="video_decoder", vae=RESIDUAL, whole_decoder=True)
    trained, frozen, _ = _networks(recipe, Source(), MAKE, partial(VideoUNet, SMALLEST_UNET))
    assert set(trained) | set(frozen) == set(parameter_shapes(MAKE(rngs=nnx.Rngs(0))))
    assert all(np.all(np.asarray(v) == 1) for v in frozen.values())
    assert {n.split(".")[0] for n in frozen} == {"encoder", "quant_conv"}
    assert not np.any(trained["decoder.conv_out.kernel"])
