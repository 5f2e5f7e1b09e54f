"""Where in a crop LPIPS looks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.training.losses import LPIPS_WINDOW, _square


@pytest.mark.parametrize(
    ("place", "top", "left"), [(None, 16, 8), ((0, 0), 0, 0), ((1, 1), 32, 16), ((0.5, 0), 16, 0)]
)
def test_the_square_lies_where_it_is_asked_to(place, top, left):
    height, width = LPIPS_WINDOW + 32, LPIPS_WINDOW + 16
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    video = jnp.stack([rows, columns, rows], -1)[None, None].astype(jnp.float32)
    where = None if place is None else jnp.asarray(place, jnp.float32)
    part = jax.jit(_square)(video, where)
    assert part.shape == (1, 1, LPIPS_WINDOW, LPIPS_WINDOW, 3)
    assert np.array_equal(part[0, 0, 0, 0, :2], [top, left])


def test_a_crop_that_is_smaller_is_taken_whole():
    video = jnp.zeros((1, 2, 24, 40, 3))
    assert _square(video, jnp.array([0.9, 0.1])).shape == video.shape
