"""Meshes: the same losses on one device, on eight, and on two processes."""

import json
import os
import shutil
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from tests.training.tiny import tiny_recipe, write_data
from uav_jax.training.loop import check_mesh
from uav_jax.training.mesh import MeshConfig, parameter_sharding

RELATIVE = 1e-5
"""Losses of the same steps with sums in another order."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    write_data(directory)
    return directory


def start(folder, workdir, mesh, devices, *distributed):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    command = [sys.executable, "-m", "tests.training.tiny", folder, workdir, 7, json.dumps(mesh)]
    return subprocess.Popen(
        [str(c) for c in [*command, *distributed]],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        stderr=subprocess.PIPE,
        text=True,
    )


def losses(process, workdir):
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def one_device(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("one")
    return losses(start(folder, workdir, {}, 1), workdir), workdir


@pytest.mark.parametrize(
    "mesh",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"fsdp": 8}, marks=pytest.mark.slow),
        {"fsdp": 2, "context": 2, "divide": "everything"},
    ],
)
def test_eight_devices_give_the_losses_of_one(folder, one_device, tmp_path, mesh):
    ours = losses(start(folder, tmp_path, mesh, 8), tmp_path)
    assert len(ours) == 7
    np.testing.assert_allclose(ours, one_device[0], rtol=RELATIVE)


def test_two_processes_give_the_losses_of_one(folder, one_device, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    both = [start(folder, tmp_path, {"fsdp": 2}, 2, address, 2, index) for index in range(2)]
    results = [losses(process, tmp_path) for process in both]
    np.testing.assert_allclose(results[0], one_device[0], rtol=RELATIVE)


def test_a_checkpoint_of_one_device_goes_on_on_two(folder, one_device, tmp_path):
    shutil.copytree(one_device[1], tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "checkpoints" / "7")
    ours = losses(start(folder, tmp_path, {"fsdp": 2}, 2), tmp_path)
    assert ours[:5] == one_device[0][:5], "what was written before stays"
    np.testing.assert_allclose(ours[5:], one_device[0][5:], rtol=RELATIVE)


def test_parameters_are_divided_along_their_longest_fitting_axis():
    mesh = jax.sharding.AbstractMesh((2, 4, 1), ("data", "fsdp", "context"))

    def spec(*shape):
        return parameter_sharding(mesh, shape).spec

    assert spec(3, 3, 64, 128) == PartitionSpec(None, None, None, ("fsdp",))
    assert spec(3, 3, 128, 6) == PartitionSpec()  # 6,912 values: small
    assert spec(1000, 81) == PartitionSpec(("fsdp",))
    assert spec(1001, 81) == PartitionSpec()


@pytest.mark.parametrize(
    "mesh, message",
    [
        (MeshConfig(fsdp=3), r"data=rest x fsdp=3 x context=1 does not fit 1 device"),
        (MeshConfig(data=2), r"data=2 x fsdp=1 x context=1 does not fit 1 device"),
    ],
)
def test_a_mesh_that_does_not_fit_the_devices_is_refused(mesh, message):
    with pytest.raises(ValueError, match=message):
        mesh.make(jax.devices()[:1])


def test_a_batch_that_the_mesh_cannot_divide_is_refused(folder):
    mesh = jax.sharding.AbstractMesh((4, 2, 1), ("data", "fsdp", "context"))
    with pytest.raises(ValueError, match=r"batch size 4 is no multiple of 8"):
        check_mesh(tiny_recipe(folder, steps=1), mesh)
    rows = jax.sharding.AbstractMesh((1, 1, 16), ("data", "fsdp", "context"))
    with pytest.raises(ValueError, match=r"crop 32 is no multiple of 64"):
        check_mesh(tiny_recipe(folder, steps=1), rows)
