"""Recipes small enough for tests: narrow networks on random blocks of colour.

    python -m tests.training.tiny FOLDER WORKDIR STEPS 'mesh as JSON' [ADDRESS PROCESSES INDEX]

runs the image U-Net's recipe, for tests that need several devices, several processes or a kill.
"""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from flax import nnx

from uav_jax.data.loader import DataConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.training.checkpoint import save_network
from uav_jax.training.config import OptimizerConfig, TrainConfig
from uav_jax.training.mesh import MeshConfig
from uav_jax.weights.engine import parameter_shapes

VAE = VAEConfig.golden_small(video=False)
UNET = UNetConfig(
    block_out_channels=(32, 32),
    num_heads=1,
    cross_attention_dim=64,
    layers_per_block=1,
    only_cross_attention=(True, False),
)


SMALLEST_UNET = replace(UNET, block_out_channels=(32,), only_cross_attention=(True,))


def drawn(make) -> dict:
    """Parameters of a network from NumPy, which compiles nothing."""
    rng = np.random.RandomState(0)
    values = {}
    for name, shape in parameter_shapes(nnx.eval_shape(lambda: make(rngs=None))).items():
        values[name] = np.full(shape, name.endswith("scale"), np.float32)
        if len(shape) > 1:
            values[name] = rng.standard_normal(shape).astype(np.float32)
            values[name] /= np.sqrt(np.prod(shape[:-1]))
    return values


def write_data(folder: Path) -> None:
    """Photographs of random colours, and an autoencoder."""
    (folder / "photos").mkdir()
    rng = np.random.RandomState(0)
    for i in range(17):
        photo = rng.randint(0, 256, (10, 10, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        np.save(folder / "photos" / f"{i:03d}.npy", photo)
    (folder / "vae").mkdir()
    save_network(folder / "vae", drawn(partial(VideoAutoencoder, VAE)))
    for name, config in (("unet", UNET), ("smallest", SMALLEST_UNET)):
        (folder / name).mkdir()
        save_network(folder / name, drawn(partial(VideoUNet, config)))


def tiny_recipe(folder: Path, *, steps: int, **fields) -> TrainConfig:
    """The temporal U-Net's recipe on the data of ``write_data``."""
    settings: dict = dict(
        stage="temporal_unet",
        data=DataConfig(directory=str(folder), batch_size=4, crop=32, frames=2),
        steps=steps,
        autoencoder_from=str(folder / "vae"),
        unet_from=str(folder / "unet"),
        vae=VAE,
        unet=UNET,
        text_encoder=TextEncoderConfig.default_model(),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=5, ema_decay=0.9),
        log_every=5,
        checkpoint_every=20,
    )
    return TrainConfig(**settings | fields)


def main() -> None:
    """The image U-Net on the mesh that the arguments describe."""
    folder, workdir, steps, mesh, *distributed = sys.argv[1:]
    if distributed:
        from uav_jax.training.cli import connect

        connect(",".join(distributed))
    from uav_jax.training.loop import train

    recipe = tiny_recipe(
        Path(folder),
        stage="image_unet",
        steps=int(steps),
        log_every=1,
        checkpoint_every=5,
        unet=SMALLEST_UNET,
        unet_from=str(Path(folder) / "smallest"),
        mesh=MeshConfig(**json.loads(mesh)),
    )
    data = replace(recipe.data, batch_size=8, crop=64, frames=1)
    train(replace(recipe, data=data), Path(workdir))


if __name__ == "__main__":
    main()
