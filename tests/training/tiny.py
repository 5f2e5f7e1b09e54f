"""A recipe small enough for tests: a U-Net of two narrow levels on random blocks of colour.

    python -m tests.training.tiny FOLDER WORKDIR 'mesh settings as JSON' [ADDRESS PROCESSES INDEX]

runs five steps of it, for tests that need several devices or several processes.
"""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from uav_jax.data.loader import DataConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.training.checkpoint import save_network
from uav_jax.training.config import OptimizerConfig, TrainConfig
from uav_jax.training.functional import initialise
from uav_jax.training.mesh import MeshConfig

VAE = VAEConfig.golden_small(video=False)
UNET = UNetConfig(
    block_out_channels=(32, 32),
    num_heads=1,
    cross_attention_dim=64,
    layers_per_block=1,
    only_cross_attention=(True, False),
)


def write_data(folder: Path) -> None:
    """Photographs of random colours, and an autoencoder."""
    (folder / "photos").mkdir()
    rng = np.random.RandomState(0)
    for i in range(17):
        photo = rng.randint(0, 256, (10, 10, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        np.save(folder / "photos" / f"{i:03d}.npy", photo)
    (folder / "vae").mkdir()
    save_network(folder / "vae", initialise(partial(VideoAutoencoder, VAE), 0))


def tiny_recipe(folder: Path, *, steps: int, **fields) -> TrainConfig:
    """The image U-Net's recipe on the data of ``write_data``."""
    settings: dict = dict(
        stage="image_unet",
        data=DataConfig(directory=str(folder), batch_size=4, crop=32),
        steps=steps,
        autoencoder_from=str(folder / "vae"),
        vae=VAE,
        unet=UNET,
        text_encoder=TextEncoderConfig.default_model(),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=5, ema_decay=0.9),
        log_every=5,
        checkpoint_every=20,
    )
    return TrainConfig(**settings | fields)


def main() -> None:
    """Five steps on the mesh that the arguments describe."""
    folder, workdir, mesh, *distributed = sys.argv[1:]
    if distributed:
        from uav_jax.training.cli import connect

        connect(",".join(distributed))
    from uav_jax.training.loop import train

    recipe = tiny_recipe(Path(folder), steps=5, log_every=1, mesh=MeshConfig(**json.loads(mesh)))
    data = replace(recipe.data, batch_size=8, crop=64)
    unet = replace(UNET, block_out_channels=(32,), only_cross_attention=(True,))
    train(replace(recipe, data=data, unet=unet), Path(workdir))


if __name__ == "__main__":
    main()
