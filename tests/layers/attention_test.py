"""Attention in chunks, position buckets and rotary embedding."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.layers import attention as module
from uav_jax.layers.attention import attention, gelu
from uav_jax.layers.embedding import relative_position_buckets, rotate

ROUNDING = 1e-6
"""Float32 rounding of values of order one."""


@pytest.mark.parametrize("limit", [8, 100, 1000])
def test_attention_in_chunks_is_the_same_attention(monkeypatch, limit):
    rng = np.random.RandomState(0)
    q, k, v = (jnp.asarray(rng.standard_normal((2, 17, 3, 4)), jnp.float32) for _ in range(3))

    def run(q, k, v):
        result = attention(q, k, v)
        return jnp.sum(result**2), result

    grad = jax.grad(run, argnums=(0, 1, 2), has_aux=True)
    whole = grad(q, k, v)
    monkeypatch.setattr(module, "MAX_SCORES", limit)
    monkeypatch.setattr(module, "SMALLEST_CHUNK", 1)
    assert "scan" in str(jax.make_jaxpr(grad)(q, k, v))
    for ours, expected in zip(jax.tree.leaves(grad(q, k, v)), jax.tree.leaves(whole), strict=True):
        assert jnp.abs(ours - expected).max() <= 10 * ROUNDING


def test_attention_to_few_keys_is_not_walked(monkeypatch):
    monkeypatch.setattr(module, "MAX_SCORES", 1)
    shapes = [jax.ShapeDtypeStruct((2, n, 3, 4), jnp.float32) for n in (1000, 16, 16)]
    assert "scan" not in str(jax.make_jaxpr(attention)(*shapes))


GATHERS = """
import jax, jax.numpy as jnp
from jax.sharding import PartitionSpec
from uav_jax.layers import attention as module
module.MAX_SCORES = module.SMALLEST_CHUNK = 4
mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
sharding = jax.NamedSharding(mesh, PartitionSpec("data"))
x = jax.ShapeDtypeStruct((8, 32, 2, 4), jnp.float32)
compiled = jax.jit(module.attention, in_shardings=sharding).lower(x, x, x).compile()
text = compiled.as_text()
assert "while" in text
print(sum(text.count(kind) for kind in ("all-gather", "all-to-all", "all-reduce", "permute")))
"""


def test_a_batch_divided_over_devices_stays_where_it_is():
    flags = "--xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", GATHERS]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0"]


def test_attention_to_equal_keys_is_the_mean_of_the_values():
    q, k = jnp.ones((1, 3, 1, 2)), jnp.zeros((1, 4, 1, 2))
    v = jnp.arange(8.0).reshape(1, 4, 1, 2)
    assert jnp.allclose(attention(q, k, v), v.mean(1, keepdims=True))


def test_gelu_is_exact_in_float32_and_below_rounding_in_bfloat16():
    x = jnp.linspace(-12, 12, 4801)
    assert jnp.array_equal(gelu(x), jax.nn.gelu(x, approximate=False))
    short = x.astype(jnp.bfloat16)
    exact = jax.nn.gelu(short.astype(jnp.float32), approximate=False)
    assert (jnp.abs(gelu(short) - exact) <= 3e-5 + 2.0**-8 * jnp.abs(exact)).all()


def test_buckets_are_exact_near_logarithmic_far_and_split_by_direction():
    buckets = relative_position_buckets(64)
    assert buckets[10, :11].tolist()[::-1][:8] == list(range(8))  # earlier keys: 0..7
    assert buckets[0, 1:8].tolist() == [17, 18, 19, 20, 21, 22, 23]  # later keys: 16 + distance
    assert buckets[0, 8] == 24 and buckets[0, 32:].tolist() == [31] * 32
    assert buckets[32:, 0].tolist() == [15] * 32


def test_rotation_keeps_lengths_leaves_frame_0_and_other_channels():
    x = jnp.asarray(np.random.RandomState(0).standard_normal((2, 5, 3, 2, 8)), jnp.float32)
    freqs = jnp.array([1.0, 0.1])
    y = rotate(x, freqs)
    assert jnp.array_equal(y[:, 0], x[:, 0])
    assert jnp.array_equal(y[..., 4:], x[..., 4:])
    assert jnp.allclose(jnp.linalg.norm(y, axis=-1), jnp.linalg.norm(x, axis=-1), atol=1e-5)
    a, b = x[0, 3, 0, 0, 0], x[0, 3, 0, 0, 1]
    assert y[0, 3, 0, 0, 0] == pytest.approx(float(a * np.cos(3.0) - b * np.sin(3.0)), abs=1e-6)
