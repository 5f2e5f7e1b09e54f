"""Rematerialisation: the same gradients, more or less computed twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from uav_jax.layers.remat import remat
from uav_jax.layers.residual import ResidualBlock

F32 = jnp.float32


def gradient(what):
    block = ResidualBlock(
        8, 8, groups=4, epsilon=1e-5, dtype=F32, param_dtype=F32, rngs=nnx.Rngs(0)
    )
    graph, state = nnx.split(block)

    def loss(state, x):
        run = remat(what)
        return jnp.sum(run(lambda block, x: block(x), nnx.merge(graph, state), x) ** 2)

    x = jax.random.normal(jax.random.key(1), (1, 2, 6, 5, 8))
    return jax.grad(loss, argnums=(0, 1)), state, x


def count(what, name):
    function, state, x = gradient(what)
    return str(jax.make_jaxpr(function)(state, x)).count(f"= {name}")


@pytest.mark.parametrize("what", ["elementwise", "blocks"])
def test_gradients_do_not_depend_on_what_is_recomputed(what):
    kept, again = [jax.jit(f)(state, x) for f, state, x in map(gradient, ("nothing", what))]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), kept, again)


def test_only_blocks_recompute_convolutions_and_both_recompute_activations():
    convolutions = {what: count(what, "conv_general_dilated") for what in CHOICES}
    assert convolutions["blocks"] > convolutions["elementwise"] == convolutions["nothing"]
    activations = {what: count(what, "logistic") for what in CHOICES}
    assert activations["blocks"] == activations["elementwise"] > activations["nothing"]


CHOICES = ("nothing", "elementwise", "blocks")
