"""Converting a released directory and writing it back."""

import gc
import json
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

import convert
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.weights import model_files
from uav_jax.weights.model_files import read_tensors
from uav_jax.weights.networks import NETWORKS
from uav_jax.weights.torch_file import write_torch


@pytest.fixture(scope="module")
def converted(small_release, tmp_path_factory):
    target = tmp_path_factory.mktemp("convert") / "ours"
    assert convert.main([str(small_release), str(target)]) == 0
    return target


def test_round_trip_is_bit_identical(small_release, converted, tmp_path):
    back = tmp_path / "back"
    assert convert.main(["--to-torch", str(converted), str(back)]) == 0
    for network in NETWORKS.values():
        before = read_tensors(small_release / network.weights[0])
        after = read_tensors(back / network.weights[0])
        assert set(before) == set(after)
        for name, tensor in before.items():
            assert after[name].dtype == tensor.dtype
            assert np.array_equal(after[name].read(), tensor.read()), name
    for path in small_release.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".txt"):
            assert (back / path.relative_to(small_release)).read_bytes() == path.read_bytes()


def test_both_layouts_load_the_same_networks(small_release, converted):
    a, b = (Upscaler.from_pretrained(path) for path in (small_release, converted))
    kernel = a.unet.conv_in.kernel[...]
    assert np.array_equal(kernel, b.unet.conv_in.kernel[...])
    assert a.schedule == b.schedule and a.defaults == b.defaults


def edited(small_release, tmp_path, edit):
    copy = tmp_path / "copy"
    shutil.copytree(small_release, copy)
    edit(copy)
    return copy


def change(name, text=None, **values):
    """An edit of a JSON file: another text, or other values."""

    def edit(directory):
        path = directory / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values) if values else text)

    return edit


CASES = {
    "no U-Net": (lambda d: shutil.rmtree(d / "unet"), "lacks unet"),
    "no tokenizer": (lambda d: shutil.rmtree(d / "tokenizer"), "lacks tokenizer"),
    "no config": (lambda d: (d / "unet/unet_video_config.json").unlink(), "is missing"),
    "broken config": (
        lambda d: (d / "vae/vae_3d_config.json").write_text("{"),
        "is not valid JSON",
    ),
    "cut weights": (
        lambda d: (d / "vae/vae_3d.bin").write_bytes((d / "vae/vae_3d.bin").read_bytes()[:5000]),
        "truncated",
    ),
    "a config that is a list": (change("vae/vae_3d_config.json", "[]"), "holds a list; expected"),
    "a config that is a number": (change("text_encoder/config.json", "3"), "holds a int; expected"),
    "a config of nested lists": (
        change("unet/unet_video_config.json", '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        "nests deeper",
    ),
    "a config that is no file": (
        lambda d: (
            (d / "vae/vae_3d_config.json").unlink(),
            os.mkfifo(d / "vae/vae_3d_config.json"),
        ),
        "no regular file",
    ),
    "3000 layers": (
        change("text_encoder/config.json", num_hidden_layers=3000),
        "text encoder num_hidden_layers 3000; expected a whole number in 1..64",
    ),
    "a width that is text": (
        change("unet/unet_video_config.json", cross_attention_dim="wide"),
        "unet cross_attention_dim 'wide'; expected a whole number",
    ),
    "a network of 10^11 parameters": (
        change(
            "unet/unet_video_config.json",
            block_out_channels=[8192] * 4,
            layers_per_block=8,
        ),
        "parameters; up to 4000000000 are accepted",
    ),
    "a config without its widths": (
        change("unet/unet_video_config.json", '{"act_fn": "silu"}'),
        "unet config lacks block_out_channels, ",
    ),
    "a RAFT config with a dtype": (
        change("propagator/config.json", '{"dtype": "object"}'),
        "RAFT config 'dtype'; expected some of",
    ),
    "a scheduler that is a list": (
        change("scheduler/scheduler_config.json", "[1]"),
        "holds a list; expected a JSON object",
    ),
    "another width": (
        lambda d: (d / "vae/vae_3d_config.json").write_text(
            json.dumps(
                json.loads((d / "vae/vae_3d_config.json").read_text())
                | {"block_out_channels": [32, 64, 64]}
            )
        ),
        "do not fit",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_broken_releases_give_one_line_status_2_and_no_output(
    case, small_release, tmp_path, capsys
):
    edit, message = CASES[case]
    source = edited(small_release, tmp_path, edit)
    assert convert.main([str(source), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"]


def test_an_existing_target_is_not_overwritten(small_release, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep")
    assert convert.main([str(small_release), str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_count_that_we_cannot_derive_comes_back_as_the_scalar_it_was(small_release, tmp_path):
    source = edited(small_release, tmp_path, lambda d: None)
    path, name = source / "propagator/raft-things.pth", "module.cnet.norm1.num_batches_tracked"
    tensors = {key: np.array(tensor.read()) for key, tensor in read_tensors(path).items()}
    write_torch(path, tensors | {name: np.array(123456, np.int64)})
    network = {"propagator": NETWORKS["propagator"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_files, "NETWORKS", network)
        patch.setattr(model_files.ModelFiles, "has", lambda *_: True)
        model_files.convert(source, tmp_path / "ours")
        model_files.to_torch(tmp_path / "ours", tmp_path / "back")
    again = read_tensors(tmp_path / "back/propagator/raft-things.pth")[name]
    assert again.shape == () and again.read() == 123456


def test_only_the_files_that_a_model_has_are_copied(small_release, tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "NETWORKS", {})
    (tmp_path / "private.txt").write_text("not for others")
    source = edited(small_release, tmp_path, lambda d: None)
    (source / "scheduler/more.txt").symlink_to(tmp_path / "private.txt")
    (source / "tokenizer/loop").symlink_to(source / "tokenizer", target_is_directory=True)
    monkeypatch.setattr(model_files.ModelFiles, "has", lambda *_: True)
    model_files.convert(source, tmp_path / "ours")
    copied = {str(p.relative_to(tmp_path / "ours")) for p in (tmp_path / "ours").rglob("*")}
    assert "tokenizer/vocab.json" in copied
    assert not copied & {"scheduler/more.txt", "tokenizer/loop"}


EXTRAS = "propagator/extras.safetensors"
CONVERTED = {
    "another width": (
        "text_encoder",
        change("text_encoder/config.json", hidden_size=64),
        r"layers.1.fc2.bias has shape \(48,\), expected \(64,\)",
    ),
    "no checkpoint": (
        "text_encoder",
        lambda d: [p.unlink() for p in (d / "text_encoder/weights").glob("*") if p.is_file()],
        "no readable checkpoint",
    ),
    "a damaged checkpoint": (
        "text_encoder",
        lambda d: [p.write_bytes(b"x") for p in (d / "text_encoder/weights").rglob("d/*")],
        "no readable checkpoint",
    ),
    "extras that replace a weight": (
        "propagator",
        lambda d: save_file({"module.cnet.conv1.bias": np.zeros(64, np.float32)}, d / EXTRAS),
        "unexpected tensor module.cnet.conv1.bias",
    ),
    "extras of another shape": (
        "propagator",
        lambda d: save_file(
            {"module.cnet.norm1.num_batches_tracked": np.zeros(9, np.int64)}, d / EXTRAS
        ),
        r"num_batches_tracked has shape \(9,\), expected \(\)",
    ),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", CONVERTED)
def test_a_broken_conversion_is_refused_in_one_line(case, converted, tmp_path):
    network, edit, message = CONVERTED[case]
    source = edited(converted, tmp_path, edit)
    with pytest.raises(ValueError, match=message) as error:
        model_files.ModelFiles(source).parameters(network)
    assert len(str(error.value).splitlines()) == 1
    error.value.__context__ = None
    gc.collect()  # Orbax leaves coroutines of a reading that failed


def test_another_format_is_shown_in_short(converted, tmp_path):
    source = edited(converted, tmp_path, change("uav_jax.json", format="x" * 500))
    with pytest.raises(ValueError, match=r"has format 'x{39}; this version reads 1"):
        model_files.ModelFiles(source)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "vae_3d"])
def test_every_network_of_the_shipped_model_is_read(name):
    parameters, extras = model_files.find_model("default").parameters(name)
    assert parameters and all(np.isfinite(value).all() for value in parameters.values())
    assert all(key.endswith("num_batches_tracked") for key in extras)
