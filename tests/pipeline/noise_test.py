"""Noise: what it depends on, and what it does not."""

import numpy as np
import pytest

from uav_jax.diffusion.torch_noise import TorchGenerator
from uav_jax.pipeline.noise import noise_of
from uav_jax.pipeline.settings import UpscaleSettings

SHAPE = (6, 4, 5, 3)


@pytest.mark.parametrize("kind", ["jax", "torch"])
def test_a_frames_noise_does_not_depend_on_where_the_clip_is_cut(kind):
    draw = noise_of(UpscaleSettings(seed=5, noise=kind), SHAPE)
    whole, part = draw(0, 0, 6), draw(0, 2, 3)
    assert [x.shape for x in whole] == [(6, 4, 5, 3), (6, 4, 5, 4)]
    for a, b in zip(whole, part, strict=True):
        assert np.array_equal(a[2:5], b)
    assert not np.array_equal(whole[1][0], whole[1][1])


def test_torch_noise_is_one_stream_low_resolution_first():
    low, latent = noise_of(UpscaleSettings(seed=7, noise="torch"), SHAPE)(0, 0, 6)
    generator = TorchGenerator(7)
    assert np.array_equal(low.transpose(3, 0, 1, 2), generator.randn(1, 3, 6, 4, 5)[0])
    assert np.array_equal(latent.transpose(3, 0, 1, 2), generator.randn(1, 4, 6, 4, 5)[0])


def test_a_scene_has_the_noise_of_a_clip_of_its_own_unless_torch_draws_one_stream():
    of_jax, of_torch = (noise_of(UpscaleSettings(noise=kind), SHAPE) for kind in ("jax", "torch"))
    assert np.array_equal(of_jax(4, 0, 2)[1], of_jax(0, 0, 2)[1])
    assert np.array_equal(of_torch(4, 0, 2)[1], of_torch(0, 4, 2)[1])
