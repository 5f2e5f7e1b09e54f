"""A released directory with the golden small weights, written without PyTorch."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.parity import golden as g
from tests.training.tiny import UNET, drawn
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.text import write_tokenizer
from uav_jax.weights.model_files import write_release
from uav_jax.weights.networks import NETWORKS
from uav_jax.weights.torch_file import write_torch

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
}


def _put(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, dict) and path.suffix == ".json":
        path.write_text(json.dumps(value))
    else:
        write_torch(path, {name: tensor.read() for name, tensor in value.items()})


def write_small_release(folder: Path) -> Path:
    """The five networks at golden small sizes with configs, tokenizer and schedulers."""
    configs = g.load_json("small_configs.json")
    names = g.load_json("small_state_dicts.json")
    text = g.load_json("text_encoder_small.json")
    _put(folder / "unet/unet_video_config.json", configs["unet"])
    _put(folder / "unet/unet_video.bin", g.state_dict(names["unet_small"]))
    for vae in ("vae_3d", "vae_video"):
        _put(folder / f"vae/{vae}_config.json", configs[vae])
        _put(folder / f"vae/{vae}.bin", g.state_dict(names[f"{vae}_small"]))
    _put(folder / "propagator/raft-things.pth", g.state_dict(names["raft"]))
    _put(folder / "text_encoder/config.json", text["config"])
    _put(folder / "text_encoder/pytorch_model.bin", g.state_dict(text["state_dict"]))
    ddim = {"_class_name": "DDIMScheduler", "clip_sample": False, "set_alpha_to_one": False}
    ddim |= {"steps_offset": 1, "prediction_type": "v_prediction"}
    _put(folder / "scheduler/scheduler_config.json", SCHEDULE | ddim)
    ddpm = {"_class_name": "DDPMScheduler", "clip_sample": True, "variance_type": "fixed_small"}
    _put(folder / "low_res_scheduler/scheduler_config.json", SCHEDULE | ddpm)
    corpus = Path(__file__).parent.parent / "configs" / "default" / "prompt_corpus.txt"
    write_tokenizer(corpus.read_text(), folder / "tokenizer", text["config"]["vocab_size"])
    return folder


def write_tiny_release(small: Path, folder: Path) -> Path:
    """A released directory whose networks have one block a level, so that they compile soon.

    Text encoder, flow network and schedulers are those of ``small``.
    """
    shutil.copytree(small, folder, ignore=shutil.ignore_patterns("unet", "vae"))
    configs = {
        "unet": replace(UNET, cross_attention_dim=48),
        "vae_3d": replace(VAEConfig.golden_small(video=False), layers_per_block=1),
        "vae_video": replace(VAEConfig.golden_small(video=True), layers_per_block=1),
    }
    for name, config in configs.items():
        state = drawn(partial(NETWORKS[name].build, config))
        write_release(folder, name, state, config.to_published())
    return folder
