"""Stage 2 on a tiny case: it learns, it is validated, and the best checkpoint stays."""

import dataclasses
import json
import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image

from tests.training.tiny import SMALLEST_UNET, drawn, tiny_recipe, write_data
from uav_jax.models.discriminator.config import DiscriminatorConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.training.checkpoint import Checkpoints, load_network, save_network
from uav_jax.training.config import AdversarialConfig, OptimizerConfig, ValidationConfig
from uav_jax.training.export import export
from uav_jax.training.loop import train
from uav_jax.training.sources import trained_beside
from uav_jax.video.read import read_frames
from uav_jax.weights.model_files import DEFAULT_DIRECTORY, ModelFiles

STEPS, EVERY = 100, 20
LOSS_LEFT, LPIPS_LEFT = 0.85, 0.95
"""Of the first loss, and of LPIPS at the first validation, after less than a minute."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoder")
    write_data(folder)
    vae = VAEConfig(
        block_out_channels=(8, 8, 8), layers_per_block=1, norm_num_groups=8, condition_channels=8
    )
    (folder / "small").mkdir()
    save_network(folder / "small", drawn(partial(VideoAutoencoder, vae)))
    recipe = tiny_recipe(
        folder,
        stage="video_decoder",
        steps=STEPS,
        vae=vae,
        autoencoder_from=str(folder / "small"),
        unet=SMALLEST_UNET,
        unet_from=str(folder / "smallest"),
        checkpoint_every=EVERY,
        keep_checkpoints=1,
        validation=ValidationConfig(batches=1),
        whole_decoder=True,
        optimizer=OptimizerConfig(learning_rate=5e-3, warmup_steps=5, ema_decay=0.9),
        sampling_steps=2,
        adversarial=AdversarialConfig(
            start_step=85, discriminator=DiscriminatorConfig(channels=(32, 32))
        ),
    )
    return train(recipe, folder / "run"), folder / "run", recipe


@pytest.fixture(scope="module")
def metrics(finished):
    return [json.loads(line) for line in (finished[1] / "metrics.jsonl").read_text().splitlines()]


def test_loss_and_validation_fall(metrics):
    losses = [line["loss"] for line in metrics if "loss" in line]
    scores = [line["validation_lpips_vgg"] for line in metrics if "validation_psnr" in line]
    assert len(scores) == STEPS // EVERY
    assert np.mean(losses[-3:]) < LOSS_LEFT * losses[0]
    assert scores[-1] < LPIPS_LEFT * scores[0]


def test_the_adversary_acts_and_stays_out_of_the_network(finished, metrics):
    assert metrics[-2]["discriminator"] != pytest.approx(1.0, abs=1e-3)
    assert any(name.startswith("discriminator/") for name in finished[0].trained)
    assert not any("/" in name for name in load_network(finished[1]))


@pytest.fixture(scope="module")
def through(finished, exportable, tmp_path_factory):
    """Two steps in which the U-Net learns too."""
    workdir = tmp_path_factory.mktemp("through")
    recipe = dataclasses.replace(
        exportable,
        steps=2,
        through_sampler=True,
        sampling_steps=1,
        change_weight=0.2,
        decoder_from=str(finished[1]),
        adversarial=None,
    )
    train(recipe, workdir)
    return workdir, recipe


def test_the_unet_learns_through_the_sampler_and_is_kept_beside(through):
    workdir, recipe = through
    before, after = load_network(recipe.unet_from), trained_beside(workdir, "unet")
    assert set(after) == set(before)
    kernels = [name for name in after if name.endswith("kernel")]
    assert all(not np.array_equal(after[name], before[name]) for name in kernels)
    assert np.array_equal(after["rotary.freqs"], before["rotary.freqs"])
    assert trained_beside(workdir / "best.safetensors", "unet").keys() == before.keys()
    assert trained_beside(workdir, "vae_3d") == {}


def test_what_learnt_beside_is_exported(through, tmp_path):
    workdir, recipe = through
    export(recipe, [workdir], write_model_parts(tmp_path))
    exported, learnt = ModelFiles(tmp_path).parameters("unet")[0], trained_beside(workdir, "unet")
    assert all(np.allclose(exported[n], learnt[n], atol=1e-3) for n in learnt)


def test_of_several_runs_the_mean_is_exported(finished, through, tmp_path):
    (workdir, recipe), earlier = through, finished[1]
    export(recipe, [earlier, workdir], write_model_parts(tmp_path))
    made = ModelFiles(tmp_path).parameters("vae_video")[0]
    states = [load_network(folder) for folder in (earlier, workdir)]
    for name, value in made.items():
        np.testing.assert_allclose(value, (states[0][name] + states[1][name]) / 2, atol=2e-3)
    assert any(not np.allclose(states[0][n], states[1][n], atol=1e-4) for n in made)


def test_the_last_and_the_best_checkpoint_are_kept(finished, metrics):
    scores = {m["step"]: m["validation_lpips_vgg"] for m in metrics if "validation_psnr" in m}
    checkpoints = Checkpoints(finished[1], 1, validated=True)
    assert checkpoints.latest_step() == STEPS
    best = min(scores, key=lambda step: scores[step])
    assert checkpoints.best_step() == best
    last, lowest = load_network(finished[1]), load_network(finished[1] / "best.safetensors")
    same = np.array_equal(last["decoder.conv_out.kernel"], lowest["decoder.conv_out.kernel"])
    assert same == (best == STEPS)
    checkpoints.close()


def test_samples_and_curves_are_pictures(finished):
    clip = read_frames(finished[1] / "samples" / f"{STEPS:06d}.mp4")
    assert clip.shape == (2, 4 * 32, 3 * 32, 3)
    with Image.open(finished[1] / "curves.png") as curves:
        assert curves.width > 1000 and len(np.unique(curves.convert("L"))) > 50
    assert list((finished[1] / "tensorboard").glob("events.*"))


def write_model_parts(folder):
    """What an export needs beside the trained networks; returns ``folder``."""
    for part in ("tokenizer", "text_encoder"):
        shutil.copytree(DEFAULT_DIRECTORY / part, folder / part)
    return folder


@pytest.fixture(scope="module")
def exportable(finished, tmp_path_factory):
    """The recipe with an image autoencoder to go with it."""
    folder = tmp_path_factory.mktemp("image")
    image = finished[2].vae.image()
    save_network(folder, drawn(partial(VideoAutoencoder, image)))
    return dataclasses.replace(finished[2], autoencoder_from=str(folder))


def test_the_exported_model_upscales_a_clip(finished, exportable, tmp_path):
    export(exportable, [finished[1]], write_model_parts(tmp_path))
    upscaler = Upscaler.from_pretrained(str(tmp_path))
    clip = np.zeros((3, 16, 24, 3), np.uint8)
    settings = UpscaleSettings(inference_steps=2, guidance_scale=1.0)
    (group,) = upscaler.upscale(clip, settings)
    assert group.shape == (3, 64, 96, 3) and np.isfinite(group).all()


def test_speed_is_reported(metrics):
    line = next(line for line in metrics if "loss" in line)
    assert line["clips_per_second"] == pytest.approx(4 * line["steps_per_second"])
    assert line["device_flops_per_second"] > 0
    assert line["learning_rate"] == pytest.approx(5e-3 * (0.2 + 0.8 * 4 / 5))
