"""Host memory of loading the released U-Net: the peak over its size in the chosen dtype.

    python benchmarks/load_memory.py [--json]

Writes a checkpoint of the released size and form (a float32 ``.bin`` of 2.8 GB, seeded values) to
a temporary folder, and loads it as bfloat16 in a process of its own. The peak is that process's,
less what it holds right before (the interpreter and JAX).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from measure import report

from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.weights.engine import parameter_shapes, to_published
from uav_jax.weights.model_files import ModelFiles
from uav_jax.weights.networks import NETWORKS
from uav_jax.weights.torch_file import write_torch

NAME = "unet"
DTYPE = jnp.bfloat16


def resident(kind: str) -> int:
    """Bytes that this process holds (``VmRSS``) or held at most so far (``VmHWM``)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) * 1024


def write(folder: Path) -> int:
    """A checkpoint with seeded values; returns how many."""
    network, config = NETWORKS[NAME], UNetConfig.released()
    shapes = parameter_shapes(nnx.eval_shape(lambda: VideoUNet(config, rngs=None)))
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    (folder / NAME).mkdir()
    write_torch(folder / network.weights[0], to_published(network.table, values))
    (folder / network.config).write_text(json.dumps(config.to_published()))
    return sum(value.size for value in values.values())


def load(folder: Path) -> None:
    """Loads it and prints how many bytes more this process held."""
    jax.block_until_ready(jnp.zeros(1))
    before = resident("VmRSS")
    model = ModelFiles(folder, complete=False).load(NAME, dtype=DTYPE, param_dtype=DTYPE)
    jax.block_until_ready(nnx.state(model))
    print(resident("VmHWM") - before)


def main() -> None:
    """Prints the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(options.load)
        return
    with TemporaryDirectory() as folder:
        size = write(Path(folder)) * jnp.dtype(DTYPE).itemsize
        command = [sys.executable, __file__, "--load", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown = int(done.stdout.split()[-1])
    report(options, {"size (GB)": size / 1e9, "peak (GB)": grown / 1e9, "ratio": grown / size})


if __name__ == "__main__":
    main()
