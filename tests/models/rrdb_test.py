"""The teacher network against ncnn."""

import jax
import numpy as np
import pytest
from flax import nnx

from tests.models.ncnn_files import run_ncnn, write_rrdb, write_trunk
from uav_jax.evaluation.peers import PEERS, cache_folder, peer_files
from uav_jax.models.rrdb.config import RRDBConfig
from uav_jax.weights.pretrained import load_rrdb

SMALL = RRDBConfig(width=8, growth=4, blocks=1)


def difference(files, config):
    image = np.random.RandomState(0).uniform(0, 1, (7, 6, 3)).astype(np.float32)
    graph, state = nnx.split(load_rrdb(*files, config))
    made = jax.jit(lambda s, x: nnx.merge(graph, s)(x))(state, 2 * image[None] - 1)
    return np.abs((np.asarray(made)[0] + 1) / 2 - run_ncnn(files, image)).max()


def test_it_computes_what_ncnn_computes(tmp_path):
    assert difference(write_rrdb(tmp_path, 8, 4), SMALL) < 1e-5


@pytest.mark.slow
def test_real_esrgan_x4plus_is_what_ncnn_computes():
    files = peer_files(PEERS["realesrgan-x4plus"], cache_folder())
    assert difference(files, RRDBConfig()) < 1e-3


def test_another_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no RRDB network of 1 blocks"):
        load_rrdb(*write_trunk(tmp_path, 8), SMALL)
    with pytest.raises(ValueError, match="no RRDB network of 2 blocks"):
        load_rrdb(*write_rrdb(tmp_path, 8, 4), RRDBConfig(width=8, growth=4, blocks=2))
    with pytest.raises(ValueError, match="conv"):
        load_rrdb(*write_rrdb(tmp_path, 8, 4), RRDBConfig(width=8, growth=8, blocks=1))
