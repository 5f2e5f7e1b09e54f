"""Propagation in stretches: the forward pass goes on where an earlier stretch left it."""

import jax.numpy as jnp
import numpy as np

from uav_jax.motion.propagation import Carried, PropagationConfig, propagate

STILL = PropagationConfig()


def test_a_stretch_that_goes_on_from_a_carried_frame_equals_the_whole_clip():
    x = jnp.asarray(np.random.RandomState(0).randn(1, 6, 4, 5, 4), jnp.float32)
    flow = jnp.zeros((1, 5, 4, 5, 2))  # consistent everywhere
    whole = propagate(x, flow, flow, STILL)
    carried = Carried(whole[:, 2], 0)
    stretch = propagate(x[:, 2:], flow[:, 2:], flow[:, 2:], STILL, carried)
    assert np.allclose(stretch, whole[:, 2:], atol=1e-6)
    alone = propagate(x[:, 2:], flow[:, 2:], flow[:, 2:], STILL)
    assert not np.allclose(alone, whole[:, 2:], atol=1e-3)


def test_a_carried_frame_replaces_that_frame_and_what_follows_builds_on_it():
    x = jnp.zeros((1, 4, 2, 2, 1))
    flow = jnp.zeros((1, 3, 2, 2, 2))
    out = propagate(x, flow, flow, STILL, Carried(jnp.ones((1, 2, 2, 1)), 1))
    assert out[0, :, 0, 0, 0].tolist() == [0.0, 1.0, 0.5, 0.25]
