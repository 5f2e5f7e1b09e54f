"""The default model's decoder: it adds to the bicubically enlarged frames."""

from dataclasses import replace
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.tiny import SMALLEST_UNET, drawn
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.pipeline.color import bicubic_x4
from uav_jax.recipes import load_recipe
from uav_jax.training.decoder import _networks
from uav_jax.training.functional import Functional
from uav_jax.weights.model_files import DEFAULT_DIRECTORY, ModelFiles

PLAIN = VAEConfig(
    block_out_channels=(8, 8, 8), layers_per_block=1, norm_num_groups=8, condition_channels=8
)
RESIDUAL = replace(PLAIN, residual=True)


def decoded(config, parameters, latents, low_res):
    return (
        Functional.of(partial(VideoAutoencoder, config)).bind(parameters).decode(latents, low_res)
    )


def test_the_result_is_what_is_added_to_bicubic():
    parameters = drawn(partial(VideoAutoencoder, PLAIN))
    rng = np.random.RandomState(1)
    latents, low_res = (
        jnp.asarray(rng.standard_normal((1, 2, 6, 5, c)), jnp.float32) for c in (4, 3)
    )
    added, plain = (decoded(c, parameters, latents, low_res) for c in (RESIDUAL, PLAIN))
    assert jnp.abs(plain).max() > 0.1
    assert jnp.abs(added - plain - bicubic_x4(low_res[0])).max() < 1e-5


def test_published_configurations_have_no_such_key():
    assert "add_condition" not in PLAIN.to_published()
    assert VAEConfig.from_published(PLAIN.to_published()) == PLAIN
    assert VAEConfig.from_published(RESIDUAL.to_published()) == RESIDUAL
    assert PLAIN.image() == RESIDUAL.image() == replace(PLAIN, condition_channels=0)


def test_an_image_decoder_has_nothing_to_add_to():
    with pytest.raises(ValueError, match="low-resolution branch"):
        replace(RESIDUAL, condition_channels=0)


def test_the_recipe_starts_its_last_convolution_at_zero_and_nothing_else():
    recipe = load_recipe(DEFAULT_DIRECTORY.parents[1] / "configs" / "default" / "residual.py")

    class Ones:
        def network(self, name, make, folder, seed):
            return {n: v + 1 for n, v in drawn(make).items()}

    vae = partial(VideoAutoencoder, recipe.vae)
    trained, _, _ = _networks(recipe, Ones(), vae, partial(VideoUNet, SMALLEST_UNET))
    zero = {n for n, v in trained.items() if not np.any(np.asarray(v))}
    assert zero == {"decoder.conv_out.kernel", "decoder.conv_out.bias"}


def test_the_model_that_ships_is_one():
    assert ModelFiles(DEFAULT_DIRECTORY).config("vae_video").residual
