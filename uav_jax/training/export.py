"""Packs trained stages as a model directory in the released layout, float16.

    python -m uav_jax.training.export RECIPE --workdir runs/clip_distillation OUT

``RECIPE`` is a video decoder's, such as ``configs/default/clip_distillation.py``; it names the work
folders of the other stages. ``--workdir runs/clip_distillation/best.safetensors`` packs the network
with the lowest validation LPIPS instead of the last, and ``--set`` changes fields of the recipe as
in ``train.py``. Of several ``--workdir`` the mean is packed (Wortsman et al., ICML 2022; Wang et
al., ECCVW 2018, section 3.4); one that is given twice counts twice. With the recipe of a flow
network, that network is added to a model.
``OUT`` has to hold ``tokenizer/`` and ``text_encoder/`` already (``uav_jax.training.text``).
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from uav_jax.data.phrases import PHRASES
from uav_jax.recipes import load_recipe, override
from uav_jax.runtime.files import write_text
from uav_jax.training.config import TrainConfig
from uav_jax.training.sources import network_shapes, saved_network, trained_beside
from uav_jax.weights.model_files import (
    DEFAULT_DIRECTORY,
    DEFAULTS_FILE,
    NOTICE,
    PHRASES_FILE,
    ModelFiles,
    write_release,
)
from uav_jax.weights.networks import NETWORKS, SCHEDULERS
from uav_jax.weights.pretrained import TRUNK_NOTICE


def _mean(states: Sequence[Mapping[str, ArrayLike]]) -> dict[str, np.ndarray]:
    """Of every parameter."""
    return {name: np.mean([np.asarray(s[name]) for s in states], axis=0) for name in states[0]}


def _networks(config: TrainConfig) -> dict[str, tuple[str | None, Any]]:
    """What a recipe's run completes: the folder of another stage's network (or None), its size."""
    if config.stage == "flow":
        return {"propagator": (None, config.raft)}
    if config.stage not in ("video_decoder", "distillation"):
        raise ValueError(
            f"the recipe trains stage {config.stage}; give one of video_decoder, distillation or "
            "flow"
        )
    assert config.vae
    networks = {"unet": (config.unet_from, config.unet), "vae_video": (None, config.vae)}
    if not config.vae.trunk:
        networks["vae_3d"] = (config.autoencoder_from, config.vae.image())
    return networks


def _write_trunk_files(out: Path) -> None:
    """The notice, and the phrases and settings of the default model where there are none yet."""
    shutil.copyfile(TRUNK_NOTICE, out / NOTICE)
    if not (out / PHRASES_FILE).exists():
        write_text(out / PHRASES_FILE, json.dumps({"phrases": PHRASES}, indent=1) + "\n")
    if not (out / DEFAULTS_FILE).exists():
        shutil.copyfile(DEFAULT_DIRECTORY / DEFAULTS_FILE, out / DEFAULTS_FILE)


def export(config: TrainConfig, workdirs: Sequence[Path], out: Path) -> None:
    """Writes U-Net, both autoencoders and the schedules of a finished training to ``out``.

    Of several ``workdirs`` the mean. Of a flow network's recipe that network alone. ``ValueError``
    if the recipe is another stage's, or if a stage has not been trained.
    """
    if config.vae and config.vae.trunk and (out / "vae" / "vae_3d_config.json").exists():
        raise ValueError(f"{out} holds a model with an image autoencoder; give another folder")
    for name, (folder, network) in _networks(config).items():
        shapes = network_shapes(partial(NETWORKS[name].build, network))
        states = [
            trained_beside(workdir, name) or saved_network(name, folder or str(workdir), shapes)
            for workdir in workdirs
        ]
        write_release(out, name, _mean(states), network.to_published())
    if config.stage == "flow":
        return
    if config.vae and config.vae.trunk:
        _write_trunk_files(out)
    for name, kind in zip(SCHEDULERS, ("DDIMScheduler", "DDPMScheduler"), strict=True):
        (out / name).mkdir(exist_ok=True)
        text = json.dumps(config.schedule.to_json(kind), indent=1)
        (out / name / "scheduler_config.json").write_text(text + "\n")
    ModelFiles(out)  # complains where something is missing


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: the video decoder's recipe and work folder, and the target."""
    parser = argparse.ArgumentParser(description="Packs a finished training as a model.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--workdir", type=Path, required=True, action="append")
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    config = load_recipe(options.config)
    for assignment in options.set:
        config = override(config, assignment)
    export(config, options.workdir, options.out)


if __name__ == "__main__":
    main()
