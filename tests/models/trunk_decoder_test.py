"""The decoder around a pretrained image network."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.models.ncnn_files import run_ncnn, write_trunk
from tests.training.tiny import drawn
from uav_jax.evaluation.peers import PEERS, cache_folder, peer_files
from uav_jax.models.vae.config import TrunkConfig, VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.models.vae.trunk_decoder import TrunkDecoder
from uav_jax.training.functional import Functional
from uav_jax.weights.engine import (
    LazyTensor,
    flat_state,
    parameter_shapes,
    to_ours,
    to_published,
)
from uav_jax.weights.pretrained import read_trunk
from uav_jax.weights.tables import VAE

CONFIG = VAEConfig(
    block_out_channels=(8, 8, 8),
    layers_per_block=1,
    norm_num_groups=8,
    condition_channels=8,
    mid_attention=False,
    trunk=TrunkConfig(width=8, condition_at=(0, 9), temporal_at=(5,)),
)


def decoder(config):
    make = partial(VideoAutoencoder, config)
    return make, jax.jit(lambda p, *inputs: Functional.of(make).bind(p).decode(*inputs))


def inputs(frames=3, height=6, width=5):
    rng = np.random.RandomState(1)
    latents = rng.standard_normal((1, frames, height, width, 4)).astype(np.float32)
    return latents, rng.uniform(-1, 1, (1, frames, height, width, 3)).astype(np.float32)


def untrained_difference(config, files):
    """Largest difference of a new decoder's frames from ncnn's, in [0, 1]."""
    decoder = TrunkDecoder(config, rngs=nnx.Rngs(0))
    read = read_trunk(*files, config.trunk)
    for name, variable in flat_state(decoder).items():
        if f"decoder.{name}" in read:
            variable[...] = jnp.asarray(read.pop(f"decoder.{name}"))
    assert not read
    latents, low_res = inputs()
    frames = np.asarray(nnx.jit(decoder)(latents, low_res, 1.0))[0]
    images = zip(frames, low_res[0], strict=True)
    return max(np.abs((y + 1) / 2 - run_ncnn(files, (x + 1) / 2)).max() for y, x in images)


@pytest.mark.parametrize("depth", [16, 21])
def test_untrained_it_is_the_pretrained_network(tmp_path, depth):
    config, files = (
        replace(CONFIG, trunk=replace(CONFIG.trunk, depth=depth)),
        write_trunk(tmp_path, 8),
    )
    assert untrained_difference(config, files) < 1e-4


@pytest.mark.slow
def test_untrained_it_is_realesr_animevideov3():
    files = peer_files(PEERS["realesr-animevideov3"], cache_folder())
    assert untrained_difference(VAEConfig.default_model(), files) < 1e-3


@pytest.fixture(scope="module")
def trained():
    """Every parameter drawn, so that nothing is zero."""
    make, decode = decoder(CONFIG)
    return drawn(make), decode


def test_latents_act_in_proportion_to_the_weight_and_not_at_0(trained):
    parameters, decode = trained
    latents, low_res = inputs()
    off = decode(parameters, latents, low_res, 0.0)
    assert jnp.array_equal(off, decode(parameters, -latents, low_res, 0.0))
    assert jnp.abs(off - decode(parameters, latents, low_res, 1.0)).max() > 1e-3


def test_a_frame_sees_its_neighbours_through_the_3d_layers_alone(trained):
    parameters, decode = trained
    latents, low_res = inputs()
    changed = low_res.copy()
    changed[:, 2] *= -1
    frames, others = (decode(parameters, latents, v, 1.0)[0] for v in (low_res, changed))
    assert jnp.array_equal(frames[0], others[0])  # one 3-D layer: one frame away
    assert jnp.abs(frames[1] - others[1]).max() > 1e-4
    still = {n: 0 * v if ".temporal." in n else v for n, v in parameters.items()}
    frames, others = (decode(still, latents, v, 1.0)[0] for v in (low_res, changed))
    assert jnp.array_equal(frames[1], others[1])


def test_names_and_configuration_survive_the_released_layout():
    make, _ = decoder(CONFIG)
    parameters = drawn(make)
    published = to_published(VAE, parameters)
    shapes = parameter_shapes(nnx.eval_shape(lambda: make(rngs=None)))
    lazy = {n: LazyTensor(v.shape, v.dtype, partial(np.asarray, v)) for n, v in published.items()}
    read, extras = to_ours(VAE, lazy, shapes, "trunk")
    assert not extras and read.keys() == parameters.keys()
    assert all(np.array_equal(read[n], parameters[n]) for n in read)
    assert "decoder.body.3.prelu.weight" in published
    assert VAEConfig.from_published(CONFIG.to_published()) == CONFIG
    assert CONFIG.image().trunk is None and "trunk" not in CONFIG.image().to_published()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(condition_channels=0), "condition_channels > 0"),
        (dict(residual_blocks=2), "without residual_blocks"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)


def test_positions_of_added_layers_are_checked():
    with pytest.raises(ValueError, match=r"condition_at .* 0 to depth 16"):
        TrunkConfig(condition_at=(0, 17))
    with pytest.raises(ValueError, match=r"temporal_at .* ascending"):
        TrunkConfig(temporal_at=(4, 4))
    with pytest.raises(ValueError, match="trunk has"):
        VAEConfig.from_published(CONFIG.to_published() | {"trunk": {"width": 8}})
