"""Distillation on a tiny case: what learns, what it costs, and the model that comes of it."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.ncnn_files import write_trunk
from tests.training.decoder_test import write_model_parts
from tests.training.tiny import SMALLEST_UNET, drawn, tiny_recipe
from uav_jax.data.loader import DataConfig
from uav_jax.data.motion import CameraPath
from uav_jax.data.phrases import PHRASES
from uav_jax.data.teacher_targets import FRAMES
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import TrunkConfig, VAEConfig
from uav_jax.motion.warp import warp
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.training import sources
from uav_jax.training.checkpoint import load_network, save_network
from uav_jax.training.config import DistillationConfig, OptimizerConfig
from uav_jax.training.export import export
from uav_jax.training.loop import train
from uav_jax.training.sources import trained_beside
from uav_jax.training.stages.distillation import (
    control_maps,
    distillation_loss,
    flicker_error,
    flow_of,
    noise_table,
)
from uav_jax.weights.model_files import ModelFiles
from uav_jax.weights.pretrained import read_trunk

VAE = VAEConfig(
    block_out_channels=(8, 8, 8),
    layers_per_block=1,
    norm_num_groups=8,
    condition_channels=8,
    mid_attention=False,
    trunk=TrunkConfig(width=8, condition_at=(0,), temporal_at=(1,), group=2),
)
CAMERA = CameraPath(centre=(30, 30), velocity=(1.5, -1), angle=0.01, zoom=1.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shards of two-frame clips whose teacher is darker than the truth, and a U-Net."""
    folder = tmp_path_factory.mktemp("distillation")
    target = np.random.RandomState(0).randint(0, 256, (4, 2, 8, 8, 3), np.uint8)
    target = target.repeat(4, 2).repeat(4, 3)
    motion = np.tile(CAMERA.motion(0, 32, 32), (4, 1, 1, 1))
    arrays = dict(low_quality=target[:, :, ::4, ::4], target=target, teacher=target // 2)
    arrays["drawing"] = 255 - target
    np.savez(folder / "train-00000.npz", motion=motion, **arrays)
    (folder / "unet").mkdir()
    save_network(folder / "unet", drawn(partial(VideoUNet, SMALLEST_UNET)))
    return folder


PHOTOS = DataConfig(directory="data", batch_size=2)


def recipe(folder, **fields):
    data = DataConfig(
        kind="teacher_targets", directory=str(folder), batch_size=2, crop=32, frames=2
    )
    settings = dict(
        stage="distillation",
        data=data,
        vae=VAE,
        unet=SMALLEST_UNET,
        unet_from=str(folder / "unet"),
        sampling_steps=1,
        distillation=DistillationConfig(),
        full_perception_level=60,
        noise_levels=(0, 60),
        lpips_weight=0.5,
        lpips_stages=1,
        lpips_window=32,
        change_weight=0.5,
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=1, ema_decay=0.5),
    )
    return tiny_recipe(folder, **{"steps": 3, **settings, **fields})


@pytest.fixture(scope="module")
def finished(folder):
    files = write_trunk(folder, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "peer_files", lambda *_: files)
        config = recipe(folder)
        train(config, folder / "run")
    return folder / "run", config, read_trunk(*files, VAE.trunk)


def test_it_starts_from_the_pretrained_network_and_everything_learns(finished):
    workdir, _, pretrained = finished
    network = load_network(workdir)
    for name, value in pretrained.items():
        change = np.abs(np.asarray(network[name]) - value).max()
        assert 0 < change < 0.02, name
    assert np.any(network["decoder.temporal.0.kernel"])
    assert np.any(network["decoder.condition_fuse.0.scale.kernel"])


def test_the_exported_model_upscales_a_clip(finished, tmp_path):
    workdir, config, _ = finished
    export(config, [workdir], write_model_parts(tmp_path))
    assert "Redistribution" in (tmp_path / "NOTICE").read_text()
    assert ModelFiles(tmp_path).phrases() == PHRASES
    upscaler = Upscaler.from_pretrained(str(tmp_path))
    settings = UpscaleSettings(
        inference_steps=1, guidance_scale=1.0, noise_level=0, use_video_vae=True, decode_overlap=1
    )
    groups = list(upscaler.upscale(np.zeros((3, 16, 24, 3), np.uint8), settings))
    assert [len(group) for group in groups] == [2, 1]
    assert all(group.shape[1:] == (64, 96, 3) and np.isfinite(group).all() for group in groups)


def test_single_frames_leave_the_3d_layers_alone(folder, finished, monkeypatch):
    from uav_jax.training.tasks import make_task

    _, config, _ = finished
    monkeypatch.setattr(
        sources, "peer_files", lambda *_: (folder / "net.param", folder / "net.bin")
    )
    task = make_task(replace(config, data=replace(config.data, frames=1)), sources.Files())
    frozen = {n.split(".")[1] for n in task.rest if n.startswith("decoder.")}
    assert frozen == {"temporal"}
    assert not any(name.startswith("decoder.temporal.") for name in task.trained)


@pytest.fixture(scope="module")
def batch(folder):
    arrays = dict(np.load(folder / "train-00000.npz"))
    arrays["phrases"] = np.zeros((4, len(PHRASES)), np.float32)
    return {name: jnp.asarray(value) for name, value in arrays.items()}


@pytest.mark.parametrize("detail, goal", [(0.0, "target"), (1.0, "teacher")])
def test_the_noise_level_chooses_between_truth_and_teacher(folder, batch, detail, goal):
    config = recipe(folder, change_weight=0.0, lpips_weight=1.0)
    weights = sources.Files().lpips(config)
    frames = {n: batch[n].astype(jnp.float32) / 127.5 - 1 for n in ("target", "teacher")}
    cost = {
        name: distillation_loss(
            value, batch, weights, jnp.full(4, detail), jax.random.key(0), config
        )[0]
        for name, value in frames.items()
    }
    assert cost[goal] == pytest.approx(0, abs=1e-6)
    assert cost[{"target": "teacher", "teacher": "target"}[goal]] > 0.1


@pytest.mark.parametrize("detail", [0.0, 1.0])
def test_a_drawing_is_learnt_from_the_other_teacher(folder, batch, detail):
    asked = np.zeros((4, len(PHRASES)), np.float32)
    asked[:, PHRASES.index("drawing")] = 1
    drawing = batch["drawing"].astype(jnp.float32) / 127.5 - 1
    config, weights = recipe(folder, change_weight=0.0), sources.Files().lpips(recipe(folder))
    cost, _ = distillation_loss(
        drawing,
        batch | {"phrases": jnp.asarray(asked)},
        weights,
        jnp.full(4, detail),
        jax.random.key(0),
        config,
    )
    assert cost == pytest.approx(0, abs=1e-6)


def test_flat_crops_have_a_finite_loss(folder, batch):
    config = recipe(folder, distillation=DistillationConfig(blocking_weight=1.0))
    flat = {n: jnp.full_like(v, 128) if n in FRAMES else v for n, v in batch.items()}
    weights = sources.Files().lpips(config)
    value, gradient = jax.value_and_grad(
        lambda y: distillation_loss(y, flat, weights, jnp.ones(4), jax.random.key(0), config)[0]
    )(jnp.zeros(batch["target"].shape))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_latents_say_what_is_asked_for():
    drawing, smooth, sharp, grain = np.eye(4, dtype=np.float32)
    asked = control_maps(jnp.array([0, 1, 0.5, 0]), jnp.stack([drawing, 2 * smooth, sharp, grain]))
    expected = [[-1, 1, 0, 0], [1, 0, -2, 0], [0, 0, 1, 0], [-1, 0, 0, 1]]
    np.testing.assert_array_equal(asked[:, 0, 0, 0], expected)


def test_the_u_net_learns_along(finished):
    workdir, config, _ = finished
    drawn_unet, trained = load_network(config.unet_from), trained_beside(workdir, "unet")
    assert trained.keys() == drawn_unet.keys()
    assert np.any(trained["conv_out.kernel"] != drawn_unet["conv_out.kernel"])


def test_noise_levels_start_alike_where_they_are_near():
    table = noise_table(100, 16, 60)
    steps = jnp.linalg.norm(jnp.diff(table[:61], axis=0), axis=1)
    assert steps.max() < 0.2 * jnp.linalg.norm(table[60] - table[0])
    np.testing.assert_array_equal(table[60:], jnp.tile(table[60], (40, 1)))


def test_flow_of_motion_is_the_cameras():
    motion = jnp.asarray(CAMERA.motion(0, 24, 20))[None, None]
    np.testing.assert_allclose(flow_of(motion, 20, 24)[0, 0], CAMERA.flow(0, 24, 20), atol=1e-4)


def test_what_moves_along_does_not_flicker(batch):
    """Frames that follow the motion cost as little as the truth, noise in one of them its size."""
    motion, first = batch["motion"], batch["target"][:, :1].astype(jnp.float32) / 127.5 - 1
    still = jnp.tile(jnp.asarray([[[1.0, 0, 0], [0, 1, 0]]]), (4, 1, 1, 1))
    truth = jnp.concatenate([first, first], 1)
    assert flicker_error(0.5 * truth, truth, still) == 0
    noisy = truth.at[:, 1].add(0.1)
    assert flicker_error(noisy, truth, still) == pytest.approx(0.1, rel=1e-5)
    flow = flow_of(motion, 32, 32)[:, 0]
    warped = jnp.stack([warp(truth[:, 1], flow), truth[:, 1]], 1)
    assert flicker_error(warped, jnp.zeros_like(truth), motion) < 1e-6


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(distillation=None), "needs distillation"),
        (dict(full_perception_level=None), "needs full_perception_level"),
        (dict(vae=replace(VAE, trunk=None)), "vae has none"),
        (
            dict(stage="video_decoder", unet_from="x", decoder_from="x", true_latents=0.0),
            "does not go with data kind",
        ),
        (
            dict(stage="video_decoder", decoder_from="x", data=PHOTOS),
            "true_latents 0.25: a decoder with a trunk has no encoder",
        ),
    ],
)
def test_recipes_that_cannot_work_are_refused(folder, change, message):
    with pytest.raises(ValueError, match=message):
        recipe(folder, **change)
