"""Converting a released directory and writing it back."""

import json
import shutil

import numpy as np
import pytest

import convert
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.weights.model_files import read_tensors
from uav_jax.weights.networks import NETWORKS


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


CASES = {
    "no U-Net": (lambda d: shutil.rmtree(d / "unet"), "lacks unet"),
    "no tokenizer": (lambda d: shutil.rmtree(d / "tokenizer"), "lacks tokenizer"),
    "no config": (lambda d: (d / "unet/unet_video_config.json").unlink(), "is missing"),
    "broken config": (lambda d: (d / "vae/vae_3d_config.json").write_text("{"), "is no JSON"),
    "cut weights": (
        lambda d: (d / "vae/vae_3d.bin").write_bytes((d / "vae/vae_3d.bin").read_bytes()[:5000]),
        "truncated",
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
