"""PyTorch's normal random numbers from our own generator."""

import re

import numpy as np
import pytest

from tests.parity import golden as g
from uav_jax.diffusion.torch_noise import TorchGenerator

TOLERANCE = 2e-6
"""Relative to the largest value: ours are rounded from float64, PyTorch computes in float32."""

FIRST_DRAWS = [key for key in g.arrays("torch_randn") if "then" not in key and "half" not in key]


@pytest.mark.parametrize("key", FIRST_DRAWS)
def test_draws_and_what_follows_them(key):
    values = g.arrays("torch_randn")
    generator = TorchGenerator(int(re.fullmatch(r"seed(\d+)_[\dx]+", key)[1]))
    for name in (key, f"{key}_then5", f"{key}_then33"):
        assert g.difference(generator.randn(*values[name].shape), values[name]) <= TOLERANCE, name


@pytest.mark.parametrize("seed", [0, 10, 12345678901])
def test_half_precision_draws_are_the_float32_stream_rounded(seed):
    values = g.arrays("torch_randn")[f"seed{seed}_half64"]
    ours = TorchGenerator(seed).randn(64).astype(np.float16)
    # A value halfway between two float16 numbers may fall to either side.
    assert np.abs(ours.astype(np.float32) - values).max() <= np.spacing(values).max()
    assert (ours == values).mean() > 0.95
