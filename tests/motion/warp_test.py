"""Warping and propagation: analytic cases."""

import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.motion.propagation import PropagationConfig, flow_at, propagate
from uav_jax.motion.warp import consistency_mask, warp


def image():
    return jnp.asarray(np.random.RandomState(0).standard_normal((1, 6, 7, 2)), jnp.float32)


def constant_flow(dx, dy, shape=(1, 6, 7)):
    return jnp.broadcast_to(jnp.array([dx, dy], jnp.float32), (*shape, 2))


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
def test_no_flow_changes_nothing(sampling):
    assert jnp.array_equal(warp(image(), constant_flow(0, 0), sampling=sampling), image())


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
def test_whole_pixels_shift_and_zeros_come_in(sampling):
    out = warp(image(), constant_flow(2, -1), sampling=sampling)
    assert jnp.array_equal(out[:, 1:, :-2], image()[:, :-1, 2:])
    assert not out[:, 0].any() and not out[:, :, -2:].any()


def test_nearest_ties_round_to_even():
    row = jnp.arange(1.0, 8.0).reshape(1, 1, 7, 1)
    out = warp(row, constant_flow(0.5, 0, (1, 1, 7)), sampling="nearest")
    assert out.ravel().tolist() == [1, 3, 3, 5, 5, 7, 7]  # 0.5 -> 0, 1.5 -> 2, ...


def test_opposite_flows_are_consistent_and_equal_ones_are_not():
    forward = constant_flow(1, 0)
    assert consistency_mask(forward, -forward)[:, :, :-1].all()
    assert not consistency_mask(forward, forward)[:, :, :-1].any()


def test_flow_at_another_size_is_scaled():
    small = flow_at(constant_flow(4, 2, (1, 3, 8, 12)), 4, 6)
    assert small.shape == (1, 3, 4, 6, 2)
    assert jnp.allclose(small, jnp.array([2.0, 1.0]))


def test_a_still_clip_is_averaged_towards_its_neighbours_and_one_frame_is_left_alone():
    x = jnp.asarray(np.random.RandomState(1).standard_normal((1, 5, 4, 4, 4)), jnp.float32)
    still = jnp.zeros((1, 4, 4, 4, 2))
    out = propagate(x, still, still, PropagationConfig())
    assert jnp.var(out, axis=1).mean() < 0.5 * jnp.var(x, axis=1).mean()
    assert jnp.array_equal(
        propagate(x[:, :1], still[:, :0], still[:, :0], PropagationConfig()), x[:, :1]
    )
