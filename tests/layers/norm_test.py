"""Group normalisation: over which axes its statistics run."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from uav_jax.layers.norm import GroupNorm


def norm(per_frame=False):
    settings = {"dtype": jnp.float32, "param_dtype": jnp.float32, "rngs": nnx.Rngs(0)}
    return GroupNorm(4, 2, epsilon=1e-6, per_frame=per_frame, **settings)


def clip():
    scale = jnp.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1, 1)
    values = np.random.RandomState(0).standard_normal((1, 3, 6, 6, 4))
    return scale * jnp.asarray(values, jnp.float32) + 5


def test_statistics_run_over_the_whole_clip():
    y = norm()(clip()).reshape(-1, 2, 2)
    assert jnp.allclose(y.mean((0, 2)), 0, atol=1e-4)
    assert jnp.allclose(y.std((0, 2)), 1, atol=1e-4)


def test_statistics_per_frame_where_asked():
    y = norm(per_frame=True)(clip()).reshape(3, -1, 2, 2)
    assert jnp.allclose(y.mean((1, 3)), 0, atol=1e-4)
    assert jnp.allclose(y.std((1, 3)), 1, atol=1e-4)


def test_activation_is_silu_of_the_normalised_values():
    plain = norm()(clip())
    assert jnp.allclose(norm()(clip(), activation=True), plain / (1 + jnp.exp(-plain)), atol=1e-6)
