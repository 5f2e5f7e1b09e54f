"""The loop on a tiny recipe: it learns, it stops when asked, and it goes on exactly."""

import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.tiny import SMALLEST_UNET, tiny_recipe, write_data
from uav_jax.training import loop
from uav_jax.training.checkpoint import load_network

STEPS = 60


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_data(folder)
    return tiny_recipe(folder, steps=STEPS, unet=SMALLEST_UNET, unet_from=str(folder / "smallest"))


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
    assert set(network) > set(state.average)


def test_frozen_parameters_keep_every_bit(recipe, finished):
    before, after = load_network(recipe.unet_from), load_network(finished[1])
    frozen = set(before) - set(finished[0].trained)
    assert len(frozen) > 50
    for name in frozen:
        assert np.array_equal(before[name], after[name]), name


def test_a_run_stopped_by_sigterm_goes_on_bit_for_bit(recipe, finished, tmp_path, monkeypatch):
    feed = loop.batches

    def interrupted(data, tokenize, *, start, share):
        for number, batch in enumerate(feed(data, tokenize, start=start, share=share)):
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


def test_a_run_that_died_between_checkpoints_goes_on_bit_for_bit(
    recipe, finished, tmp_path, monkeypatch
):
    feed = loop.batches

    def dying(data, tokenize, *, start, share):
        for number, batch in enumerate(feed(data, tokenize, start=start, share=share)):
            if number == 36:  # the last checkpoint is step 20, the last line is step 35
                raise OSError("power cut")
            yield batch

    with monkeypatch.context() as patched, pytest.raises(OSError, match="power cut"):
        patched.setattr(loop, "batches", dying)
        loop.train(recipe, tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"step": 40, "lo')  # a line that was being written
    state = loop.train(recipe, tmp_path)
    for ours, straight in zip(jax.tree.leaves(state), jax.tree.leaves(finished[0]), strict=True):
        assert np.array_equal(ours, straight)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(5, STEPS + 1, 5))


def test_a_loss_that_is_not_finite_names_the_step_and_the_records(recipe, tmp_path, monkeypatch):
    def diverging(loss, config, accumulate, gather):
        def step(state, frozen, batch, key):
            state = state._replace(step=state.step + 1)
            loss = jnp.where(state.step > 2, jnp.nan, 0.5)
            return state, {"loss": loss, "grad_norm": loss}

        return step

    monkeypatch.setattr(loop, "make_train_step", diverging)
    with pytest.raises(
        FloatingPointError, match=r"step 3; records \[8, 9, 10, 11\]; last good checkpoint: none"
    ):
        loop.train(recipe, tmp_path)  # looks at every fifth step, names the third
