"""A small data set."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.metrics.consistency_test import panning
from uav_jax.evaluation.dataset import digest


def write_frames(folder, frames):
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i:04d}.png")


@pytest.fixture
def data(tmp_path):
    """Two clips of three frames, with the hashes of their inputs."""
    hashes = {}
    for seed, name in enumerate(("first", "second")):
        truth = panning(seed, frames=3)
        low = truth.reshape(3, 16, 4, 20, 4, 3).mean((2, 4)).astype(np.uint8)
        write_frames(tmp_path / "data" / name / "hr", truth)
        write_frames(tmp_path / "data" / name / "lq_real", low)
        hashes[name] = {"hr": digest(truth), "lq_real": digest(low)}
    (tmp_path / "data" / "manifest.json").write_text(json.dumps(hashes))
    return tmp_path / "data"
