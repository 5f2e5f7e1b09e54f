"""The loop on a tiny recipe: it learns, it stops when asked, and it goes on exactly."""

import dataclasses
import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.data.loader import DataConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.training import loop
from uav_jax.training.checkpoint import load_network, save_network
from uav_jax.training.config import OptimizerConfig, TrainConfig
from uav_jax.training.functional import initialise

STEPS = 60


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A U-Net of two narrow levels on random blocks of colour."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "photos").mkdir()
    rng = np.random.RandomState(0)
    for i in range(17):
        photo = rng.randint(0, 256, (10, 10, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        np.save(folder / "photos" / f"{i:03d}.npy", photo)
    vae = VAEConfig.golden_small(video=False)
    (folder / "vae").mkdir()
    save_network(folder / "vae", initialise(lambda rngs: VideoAutoencoder(vae, rngs=rngs), 0))
    return TrainConfig(
        stage="image_unet",
        data=DataConfig(directory=str(folder), batch_size=4, crop=32),
        steps=STEPS,
        autoencoder_from=str(folder / "vae"),
        vae=vae,
        unet=UNetConfig(
            block_out_channels=(32, 32),
            num_heads=1,
            cross_attention_dim=64,
            layers_per_block=1,
            only_cross_attention=(True, False),
        ),
        text_encoder=TextEncoderConfig.default_model(),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=5, ema_decay=0.9),
        log_every=5,
        checkpoint_every=20,
    )


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("straight")
    return loop.train(recipe, workdir), workdir


def test_the_loss_falls(finished):
    lines = (finished[1] / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == STEPS // 5
    assert np.mean(losses[-4:]) < 0.85 * np.mean(losses[:2])


def test_the_network_file_holds_the_average_and_the_frozen_rest(finished):
    state, workdir = finished
    network = load_network(workdir)
    for name, value in state.average.items():
        assert np.array_equal(network[name], value), name
    assert set(network) > set(state.average), "the temporal layers were not trained"


def test_a_run_stopped_by_sigterm_goes_on_bit_for_bit(recipe, finished, tmp_path, monkeypatch):
    feed = loop.batches

    def interrupted(data, *, start):
        for number, batch in enumerate(feed(data, start=start)):
            if start + number == 26:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    monkeypatch.setattr(loop, "batches", interrupted)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        loop.train(recipe, tmp_path)
    assert stopped.value.code == loop.PREEMPTED
    assert signal.getsignal(signal.SIGTERM) == handler
    state = loop.train(recipe, tmp_path)
    for ours, straight in zip(jax.tree.leaves(state), jax.tree.leaves(finished[0]), strict=True):
        assert np.array_equal(ours, straight)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(5, STEPS + 1, 5))


def test_a_loss_that_is_not_finite_names_the_step_and_the_records(recipe, tmp_path, monkeypatch):
    def diverging(loss, config):
        def step(state, frozen, batch, key):
            state = state._replace(step=state.step + 1)
            return state, {"loss": jnp.where(state.step > 2, jnp.nan, 0.5)}

        return step

    monkeypatch.setattr(loop, "make_train_step", diverging)
    watched = dataclasses.replace(recipe, log_every=1)
    with pytest.raises(FloatingPointError, match=r"step 3; records \[8, 9, 10, 11\]"):
        loop.train(watched, tmp_path)
