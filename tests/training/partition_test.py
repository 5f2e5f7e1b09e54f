"""What each stage trains, at the released sizes."""

import numpy as np
import pytest
from flax import nnx

from tests.training.tiny import UNET
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.training.partition import (
    DECODER_TEMPORAL,
    DECODER_WHOLE,
    EVERYTHING,
    UNET_IMAGE,
    UNET_TEMPORAL,
    Partition,
)
from uav_jax.weights.engine import parameter_shapes


def unet_shapes(config):
    return parameter_shapes(nnx.eval_shape(lambda: VideoUNet(config, rngs=None)))


def count(names, shapes):
    return sum(int(np.prod(shapes[name])) for name in names)


def test_released_unet_has_the_published_counts():
    shapes = unet_shapes(UNetConfig.released())
    trained, frozen = UNET_TEMPORAL.names(shapes)
    assert count(shapes, shapes) == 691_036_436
    assert count(trained, shapes) == 217_638_400
    modules = [
        n for n in trained if n.split(".")[0] in ("down_temporal", "mid_temporal", "up_temporal")
    ]
    assert count(modules, shapes) == 128_403_968
    assert count(frozen, shapes) - shapes["rotary.freqs"][0] == 473_398_020


def test_released_video_decoder_has_the_published_counts():
    config = VAEConfig.released(video=True)
    shapes = parameter_shapes(nnx.eval_shape(lambda: VideoAutoencoder(config, rngs=None)))
    trained, frozen = DECODER_TEMPORAL.names(shapes)
    assert count(trained, shapes) == 58_450_438
    assert count(frozen, shapes) == 55_325_927


def test_image_and_temporal_stages_share_nothing_and_leave_only_the_frequencies():
    shapes = unet_shapes(UNetConfig.small())
    image, temporal = UNET_IMAGE.names(shapes)[0], UNET_TEMPORAL.names(shapes)[0]
    assert not set(image) & set(temporal)
    assert set(shapes) - set(image) - set(temporal) == {"rotary.freqs"}


@pytest.mark.parametrize("partition", [EVERYTHING, DECODER_WHOLE, DECODER_TEMPORAL])
def test_default_autoencoder_is_covered(partition):
    config = VAEConfig.small(video=True)
    shapes = parameter_shapes(nnx.eval_shape(lambda: VideoAutoencoder(config, rngs=None)))
    trained, frozen = partition.names(shapes)
    assert set(trained) | set(frozen) == set(shapes) and not set(trained) & set(frozen)


def test_parameters_on_neither_or_both_sides_are_named():
    partition = Partition(trained=("^a", "^c"), frozen=("^b", "^c"))
    with pytest.raises(ValueError, match=r"c\.x \(both\), d \(neither\)"):
        partition.names(["a", "b", "c.x", "d"])


def test_the_untrained_video_model_equals_the_image_model():
    import jax.numpy as jnp

    unet = VideoUNet(UNET, rngs=nnx.Rngs(0))
    rng = np.random.RandomState(0)
    latents, low_res = (
        jnp.asarray(rng.standard_normal((1, 1, 8, 8, c)), jnp.float32) for c in (4, 3)
    )
    text = jnp.asarray(rng.standard_normal((1, 77, UNET.cross_attention_dim)), jnp.float32)
    t = jnp.array([10])
    run = nnx.jit(lambda unet: unet(latents, low_res, t, t, text))
    before = run(unet)
    for module in (*unet.down_temporal, unet.mid_temporal, *unet.up_temporal):
        module.temporal.conv1.kernel[...] *= 3  # behind a zero convolution: without effect
    assert jnp.array_equal(run(unet), before)
