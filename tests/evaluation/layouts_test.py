"""Published layouts, and inputs that are made from truths."""

import json

import numpy as np
import pytest

from tests.evaluation.conftest import write_frames
from tests.metrics.consistency_test import panning
from uav_jax.evaluation.dataset import Dataset
from uav_jax.evaluation.layouts import find_sources


@pytest.mark.parametrize(
    "name, folder, clip, truth",
    [
        ("SPMCS", "test_set/car05_001/truth", "car05_001", True),
        ("UDM10", "GT/archpeople", "archpeople", True),
        ("REDS30", "val/val_sharp/000", None, True),
        ("REDS30", "val_sharp/000", "000", True),
        ("YouHQ40", "animal/0012", "animal--0012", True),
        ("VideoLQ", "Input/000", "000", False),
        ("AIGC30", "girl", "girl", False),
    ],
)
def test_layouts_are_recognised(tmp_path, name, folder, clip, truth):
    write_frames(tmp_path / name / folder, panning(frames=1))
    if clip is None:
        with pytest.raises(ValueError, match="give --layout, one of pairs, spmcs"):
            find_sources(tmp_path / name, "real")
        return
    ((found, source),) = find_sources(tmp_path / name, "real").items()
    path = tmp_path / name / folder
    assert found == clip
    assert (source.truth, source.low_res) == ((path, None) if truth else (None, path))


@pytest.fixture
def truths(tmp_path):
    wide = np.pad(panning(frames=2), ((0, 0), (0, 3), (0, 1), (0, 0)))
    write_frames(tmp_path / "UDM10" / "GT" / "clip", wide)
    return tmp_path / "UDM10"


@pytest.mark.parametrize("kind", ["clean", "real"])
def test_inputs_are_made_once_from_the_seed(truths, kind):
    first = Dataset(truths, kind, seed=3).clip("clip")
    assert first.low_res.shape == (2, 16, 20, 3) and first.shape == (2, 64, 80, 3)
    assert [f.shape for f in first.truth()] == [(64, 80, 3)] * 2
    made = truths / f"uav_jax_inputs_{kind}_3" / "clip.mkv"
    written = made.stat().st_mtime_ns
    again = Dataset(truths, kind, seed=3).clip("clip")
    assert made.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.low_res, first.low_res)
    other = Dataset(truths, kind, seed=4).clip("clip")
    assert np.array_equal(other.low_res, first.low_res) == (kind == "clean")


def test_made_inputs_are_what_bicubic_reduction_gives(truths):
    clip = Dataset(truths, "clean").clip("clip")
    reduced = panning(frames=2).reshape(2, 16, 4, 20, 4, 3).mean((2, 4))
    assert np.abs(clip.low_res - reduced).mean() < 3


def test_scores_against_changed_inputs_or_truths_are_refused(truths):
    Dataset(truths, "clean").clip("clip")
    manifest = truths / "uav_jax_inputs_clean_0" / "manifest.json"
    entries = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({"clip": entries["clip"] | {"lq_clean": "0"}}))
    with pytest.raises(ValueError, match=r"clip.mkv is not the clip that .* Delete .* new inputs"):
        Dataset(truths, "clean").clip("clip")
    manifest.write_text(json.dumps(entries))
    write_frames(truths / "GT" / "more", panning(frames=1))
    (truths / "GT" / "more" / "0000.png").rename(truths / "GT" / "clip" / "0000.png")
    with pytest.raises(ValueError, match=r"GT/clip is not the clip that"):
        Dataset(truths, "clean").clip("clip")


def test_only_known_kinds_are_made(truths):
    with pytest.raises(ValueError, match="kind 'noisy'; inputs are made of real or clean"):
        Dataset(truths, "noisy").clip("clip")
