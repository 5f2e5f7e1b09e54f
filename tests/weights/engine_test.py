"""Weight tables: strict in both directions."""

import numpy as np
import pytest
from flax import nnx

from tests.parity import golden as g
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.weights import tables
from uav_jax.weights.engine import (
    LazyTensor,
    WeightError,
    match,
    misshapen,
    parameter_shapes,
    to_ours,
    to_published,
)
from uav_jax.weights.networks import NETWORKS
from uav_jax.weights.rules import Rule, WeightTable


@pytest.fixture(scope="module")
def vae():
    config = VAEConfig.golden_small(video=True)
    shapes = parameter_shapes(nnx.eval_shape(lambda: VideoAutoencoder(config, rngs=None)))
    return g.state_dict(g.load_json("small_state_dicts.json")["vae_video_small"]), shapes


def read(source, shapes, table=tables.VAE):
    return to_ours(table, source, shapes, "vae_video.bin")


def test_missing_extra_and_misshapen_tensors_are_all_named_at_once(vae):
    source, shapes = dict(vae[0]), vae[1]
    del source["decoder.conv_in.weight"]
    source["decoder.surprise.weight"] = source["decoder.conv_out.weight"]
    with pytest.raises(WeightError) as error:
        read(source, shapes)
    message = str(error.value)
    assert "vae_video.bin" in message and "2 tensors" in message
    assert "missing tensor decoder.conv_in.weight" in message
    assert "unexpected tensor decoder.surprise.weight" in message


def test_a_wrong_shape_is_told_with_the_expected_one(vae):
    source = dict(vae[0])
    wrong = np.zeros((3, 32, 5, 5), np.float32)
    source["decoder.conv_out.weight"] = LazyTensor(wrong.shape, wrong.dtype, lambda: wrong)
    with pytest.raises(WeightError, match=r"\(3, 32, 5, 5\), expected \(3, 32, 3, 3\)"):
        read(source, vae[1])


def test_a_name_that_two_rules_claim_is_an_error(vae):
    extra = Rule("{path}.conv_out.weight", "{path}.conv_out.kernel", tables.CONV2D)
    table = WeightTable((*tables.VAE.rules, extra))
    with pytest.raises(WeightError, match="matches 2 rules"):
        read(vae[0], vae[1], table)


def test_repeated_frequencies_must_agree():
    config = UNetConfig.golden_small()
    shapes = parameter_shapes(nnx.eval_shape(lambda: VideoUNet(config, rngs=None)))
    source = g.state_dict(g.load_json("small_state_dicts.json")["unet_small"])
    name = next(n for n in source if n.endswith("attn_temporal.rotary_emb.freqs"))
    other = source[name].read() * 2
    source[name] = LazyTensor(other.shape, other.dtype, lambda: other)
    with pytest.raises(WeightError, match="differs from the tensor that it should repeat"):
        to_ours(tables.UNET, source, shapes, "unet")


@pytest.mark.parametrize("name", ["unet", "vae_3d", "vae_video", "text_encoder", "propagator"])
def test_every_published_tensor_survives_the_way_there_and_back(name):
    if name == "text_encoder":
        small = g.load_json("text_encoder_small.json")
        names, json = small["state_dict"], small["config"]
    else:
        key = "raft" if name == "propagator" else f"{name}_small"
        names = g.load_json("small_state_dicts.json")[key]
        json = {} if name == "propagator" else g.load_json("small_configs.json")[name]
    network = NETWORKS[name]
    config = network.configure(json)
    shapes = parameter_shapes(nnx.eval_shape(lambda: network.build(config, rngs=None)))
    source = g.state_dict(names)
    parameters, extras = to_ours(network.table, source, shapes, name)
    assert not extras
    back = to_published(network.table, parameters, extras)
    assert set(back) == set(source)
    for key, tensor in source.items():
        assert back[key].dtype == tensor.dtype and np.array_equal(back[key], tensor.read()), key


def test_derived_tensors_with_other_values_are_kept_as_extras():
    network = NETWORKS["propagator"]
    shapes = parameter_shapes(
        nnx.eval_shape(lambda: network.build(network.configure({}), rngs=None))
    )
    source = g.state_dict(g.load_json("small_state_dicts.json")["raft"])
    counted = np.array(123456, np.int64)
    name = "module.cnet.norm1.num_batches_tracked"
    source[name] = LazyTensor((), counted.dtype, lambda: counted)
    parameters, extras = to_ours(network.table, source, shapes, "raft")
    assert set(extras) == {name}
    assert to_published(network.table, parameters, extras)[name] == 123456


BOMBS = {
    "another shape": ("norm1.num_batches_tracked", (20_000_000,), r"\(20000000,\), expected \(\)"),
    "nothing beside": (
        "layer9.0.norm1.num_batches_tracked",
        (),
        "unexpected tensor module.cnet.la",
    ),
}


@pytest.mark.parametrize("case", BOMBS)
def test_derived_tensors_that_do_not_belong_are_refused_before_a_value_is_read(case):
    name, shape, message = BOMBS[case]
    network = NETWORKS["propagator"]
    shapes = parameter_shapes(
        nnx.eval_shape(lambda: network.build(network.configure({}), rngs=None))
    )
    source = {
        key: LazyTensor(tensor.shape, tensor.dtype, lambda: pytest.fail("a value was read"))
        for key, tensor in g.state_dict(g.load_json("small_state_dicts.json")["raft"]).items()
    }
    bomb = LazyTensor(shape, np.dtype(np.int64), lambda: pytest.fail("a value was read"))
    with pytest.raises(WeightError, match=message):
        to_ours(network.table, source | {f"module.cnet.{name}": bomb}, shapes, "raft")


def test_a_scalar_may_be_a_list_of_one_as_our_first_releases_have_it():
    network = NETWORKS["propagator"]
    shapes = parameter_shapes(
        nnx.eval_shape(lambda: network.build(network.configure({}), rngs=None))
    )
    name = "module.cnet.norm1.num_batches_tracked"
    assert not misshapen({name: (1,)}, network.table, shapes)
    assert misshapen({name: (2,)}, network.table, shapes)


@pytest.mark.parametrize("name", g.load_json("full_checkpoints.json")["state_dicts"])
def test_released_names_and_shapes_fit_without_reading_a_weight(name):
    full = g.load_json("full_checkpoints.json")
    network = NETWORKS[name]
    config = network.configure(full["configs"][name])
    shapes = parameter_shapes(nnx.eval_shape(lambda: network.build(config, rngs=None)))
    published = {key: tuple(shape) for key, shape in full["state_dicts"][name].items()}
    assert len(match(network.table, list(published), shapes, name)) == len(shapes)
    assert not misshapen(published, network.table, shapes)
