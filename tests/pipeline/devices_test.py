"""One device against eight simulated ones: the same frames, weights whole or divided."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from uav_jax.pipeline import devices
from uav_jax.pipeline.devices import available_memory, make_mesh, out_of_memory

SAME = 1e-5
"""Largest difference of frames in [-1, 1]: sums are taken in another order."""

SCRIPT = """
import json, sys
import jax, numpy as np
from uav_jax.pipeline.devices import make_mesh
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler
cases = json.loads(sys.argv[1])
frames = np.random.RandomState(0).randint(0, 256, (4, 24, 40, 3), np.uint8)
settings = UpscaleSettings(
    inference_steps=1, noise_level=20, guidance_scale=1.0, use_video_vae=True,
    perform_tile=True, tile_size=16, tile_context=4,
)
for name, (count, weights) in cases.items():
    mesh = make_mesh(jax.devices()[:count])
    upscaler = Upscaler.from_pretrained(mesh=mesh, weights=weights)
    if mesh is None:
        upscaler.mesh = None
    np.save(sys.argv[2] + "/" + name, np.concatenate(list(upscaler.upscale(frames, settings))))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    cases = {"eight": (8, "replicated"), "divided": (8, "fsdp")}
    for arguments, extra in ((cases, environment), ({"one": (1, "replicated")}, os.environ)):
        command = [sys.executable, "-c", SCRIPT, json.dumps(arguments), str(folder)]
        subprocess.run(command, env=extra, check=True)
    return {name: np.load(folder / f"{name}.npy") for name in ("one", *cases)}


@pytest.mark.parametrize("name", ["eight", "divided"])
def test_eight_devices_make_the_frames_of_one(made, name):
    assert made["one"].shape == (4, 96, 160, 3)
    assert np.abs(made[name] - made["one"]).max() < SAME


def test_one_device_needs_no_mesh():
    import jax

    assert make_mesh(jax.devices()[:1]) is None


def test_memory_is_what_the_device_or_the_system_has_left():
    assert 2**26 < available_memory() < 2**45


def test_only_a_lack_of_memory_is_one():
    import jax

    error = jax.errors.JaxRuntimeError
    assert out_of_memory(error("RESOURCE_EXHAUSTED: Out of memory allocating 5 bytes"))
    assert not out_of_memory(error("INTERNAL: something else"))
    assert not out_of_memory(ValueError("RESOURCE_EXHAUSTED"))
    assert devices.over_rows(None) is None
