"""The flow stage: its data, its loss, and that it learns."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests.training.tiny import drawn, tiny_recipe, write_data
from uav_jax.data.clips import places
from uav_jax.data.flow import moving_pair
from uav_jax.data.loader import DataConfig, batches
from uav_jax.data.motion import CameraPath
from uav_jax.models.raft.config import RAFTConfig
from uav_jax.models.raft.model import RAFT
from uav_jax.motion.warp import warp
from uav_jax.training.checkpoint import save_network
from uav_jax.training.config import OptimizerConfig
from uav_jax.training.export import export
from uav_jax.training.flow import end_point_error, flow_network, sequence_loss
from uav_jax.training.sources import Files
from uav_jax.training.step import initial_state, make_train_step
from uav_jax.weights.model_files import ModelFiles

INTERPOLATION = 2.0
"""Mean 8-bit levels between two interpolations of a smooth picture."""

SMALLEST = RAFTConfig(
    encoder_channels=(16, 16, 24),
    feature_channels=32,
    hidden_channels=16,
    motion_channels=(32, 24, 16, 16),
    motion_out_channels=24,
    head_channels=24,
    correlation_levels=2,
    correlation_radius=3,
    iterations=3,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("flow")
    write_data(directory)
    return directory


def smooth_photo(size):
    y, x = np.mgrid[:size, :size] / size * 2 * np.pi
    planes = [np.sin(3 * x), np.cos(4 * y), np.sin(2 * x + 3 * y)]
    return Image.fromarray((127 + 100 * np.stack(planes, -1)).astype(np.uint8))


def test_a_pan_has_constant_flow():
    path = CameraPath(centre=(50, 50), velocity=(3.0, -1.0), scale=2.0)
    assert path.flow(0, 8, 6) == pytest.approx(np.broadcast_to([-1.5, 0.5], (6, 8, 2)))


def test_the_flow_of_a_turning_zoom_warps_the_second_frame_onto_the_first():
    photo = smooth_photo(200)
    path = CameraPath(centre=(95, 105), velocity=(4.0, 2.0), angle=0.05, zoom=0.97, scale=1.1)
    first, second = (path.frame(photo, t, 80, 64).astype(np.float32) for t in (1, 2))
    flow = jnp.asarray(path.flow(1, 80, 64))[None]
    back = np.asarray(warp(jnp.asarray(second)[None], flow, outside="border"))[0]
    inner = np.s_[12:-12, 12:-12]
    assert np.abs(back - first)[inner].mean() < INTERPOLATION
    assert np.abs(second - first)[inner].mean() > 5 * INTERPOLATION


def test_most_of_a_moving_pair_is_explained_by_its_flow(folder):
    (album,) = places("flow", str(folder))
    explained, still = [], []
    for seed in range(20):
        frames, flow = moving_pair(album, np.random.default_rng(seed), 64)
        first, second = frames.astype(np.float32)
        back = np.asarray(
            warp(jnp.asarray(second)[None], jnp.asarray(flow)[None], outside="border")
        )
        explained.append(np.median(np.abs(back[0] - first)))
        still.append(np.median(np.abs(second - first)))
    assert np.mean(explained) < 0.5 * np.mean(still)


def test_the_loss_weighs_later_iterations_more():
    flow = jnp.zeros((1, 2, 2, 2))
    predictions = jnp.stack([flow + 1, flow + 2])
    assert float(sequence_loss(predictions, flow)) == pytest.approx(0.8 * 1 + 2)
    assert float(end_point_error(flow + jnp.array([3.0, 4.0]), flow)) == pytest.approx(5)


@pytest.fixture(scope="module")
def recipe(folder):
    return tiny_recipe(
        folder,
        stage="flow",
        steps=4,
        data=DataConfig(directory=str(folder), kind="flow", batch_size=2, frames=2, crop=48),
        raft=SMALLEST,
        text_encoder=None,
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=0),
    )


def test_the_flow_network_learns_a_batch_by_heart(recipe):
    task = flow_network(recipe, Files())
    step = jax.jit(make_train_step(task.loss, recipe.optimizer))
    state, batch = initial_state(task.trained, recipe.optimizer), next(batches(recipe.data))
    errors = []
    for _ in range(120):
        state, metrics = step(state, task.frozen, batch, jax.random.key(0))
        errors.append(float(metrics["end_point_error"] / metrics["mean_motion"]))
    assert errors[0] > 0.8 and np.mean(errors[-10:]) < 0.5


def test_the_statistics_of_the_context_network_stay_as_they_are(recipe):
    task = flow_network(recipe, Files())
    assert set(task.frozen) == {name for name in task.frozen if name.startswith("cnet.")}
    assert {name.rpartition(".")[2] for name in task.frozen} == {"mean", "variance"}
    assert {name.rpartition(".")[2] for name in task.trained} == {"kernel", "bias", "scale"}


def test_a_trained_flow_network_is_added_to_a_model(recipe, tmp_path):
    network = drawn(partial(RAFT, SMALLEST))
    (tmp_path / "run").mkdir()
    save_network(tmp_path / "run", network)
    export(recipe, [tmp_path / "run"], tmp_path / "model")
    model = ModelFiles(tmp_path / "model", complete=False)
    assert model.config("propagator") == SMALLEST
    exported, _ = model.parameters("propagator")
    assert set(exported) == set(network)
    assert all(np.allclose(exported[n], network[n], atol=2e-3) for n in network)
