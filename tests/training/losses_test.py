"""Where in a clip LPIPS looks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.metrics.lpips import installed_lpips, load_lpips
from uav_jax.training.losses import _window, reconstruction_loss


@pytest.mark.parametrize(
    ("place", "start"),
    [
        (None, (1, 16, 8)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (2, 32, 16)),
        ((0.5, 0.5, 0), (1, 16, 0)),
        ((0.99, 0, 0), (2, 0, 0)),
    ],
)
def test_the_window_lies_where_it_is_asked_to(place, start):
    frames, height, width = 3, 64 + 32, 64 + 16
    where_is_it = jnp.meshgrid(*map(jnp.arange, (frames, height, width)), indexing="ij")
    video = jnp.stack(where_is_it, -1)[None].astype(jnp.float32)
    where = None if place is None else jnp.asarray(place, jnp.float32)
    part = jax.jit(_window, static_argnums=(1, 2))(video, 1, 64, where)
    assert part.shape == (1, 1, 64, 64, 3)
    assert np.array_equal(part[0, 0, 0, 0], start)


def test_a_crop_that_is_smaller_is_taken_whole():
    video = jnp.zeros((1, 2, 24, 40, 3))
    assert _window(video, None, 64, jnp.array([0.9, 0.9, 0.1])).shape == video.shape


def test_lpips_at_two_sizes_is_the_mean_of_both():
    path = installed_lpips("vgg16")
    assert path
    weights, rng = load_lpips(path), np.random.RandomState(0)
    target = rng.uniform(-1, 1, (1, 1, 32, 32, 3)).astype(np.float32)
    made = target + 0.2 * rng.standard_normal(target.shape).astype(np.float32)
    halves = [v.reshape(1, 1, 16, 2, 16, 2, 3).mean((3, 5)) for v in (made, target)]
    both, large, small = (
        reconstruction_loss(*pair, weights, 1.0, scales=n)[1]["lpips_vgg"]
        for pair, n in (((made, target), 2), ((made, target), 1), (halves, 1))
    )
    assert abs(both - (large + small) / 2) < 1e-6 < abs(large - small)


def test_without_a_weight_lpips_is_not_computed():
    rng = np.random.RandomState(0)
    made, target = (jnp.asarray(rng.uniform(-1, 1, (1, 2, 8, 8, 3)), jnp.float32) for _ in "ab")
    value, parts = reconstruction_loss(made, target, {}, 0.0)
    assert set(parts) == {"l1"} and value == parts["l1"] == jnp.abs(made - target).mean()
