"""The pipeline on small seeded networks: determinism, what changes the result, segments."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from uav_jax.diffusion.sampler import _sample
from uav_jax.motion.flow import ClipFlow
from uav_jax.pipeline import upscale as module
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler, reduce_large, segments, to_bytes

SETTINGS = UpscaleSettings(inference_steps=2, noise_level=50, guidance_scale=3.0, seed=3)


@pytest.fixture(scope="module")
def upscaler(small_release):
    return Upscaler.from_pretrained(small_release)


@pytest.fixture(scope="module")
def frames():
    return np.random.RandomState(0).randint(0, 256, (3, 16, 20, 3), np.uint8)


def run(upscaler, frames, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    return np.concatenate(list(upscaler.upscale(frames, settings)))


@pytest.fixture(scope="module")
def result(upscaler, frames):
    return run(upscaler, frames)


def test_the_result_is_four_times_as_large_in_range_and_repeatable(upscaler, frames, result):
    assert result.shape == (3, 64, 80, 3)
    assert np.abs(result).max() <= 1
    assert np.array_equal(run(upscaler, frames), result)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"noise_level": 51},
        {"prompt": "a castle, "},
        {"n_prompt": "snow"},
        {"guidance_scale": 4.0},
        {"use_video_vae": True},
        {"color_fix": "wavelet"},
        {"noise": "torch"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_changes_the_result(upscaler, frames, result, change):
    assert not np.array_equal(run(upscaler, frames, **change), result)


def test_propagation_along_still_flow_changes_the_result(upscaler, frames, result, monkeypatch):
    still = np.zeros((1, len(frames) - 1, 16, 20, 2), np.float32)  # seeded RAFT is never consistent
    monkeypatch.setattr(module, "_clip_flow", lambda *_: ClipFlow(still, still))
    assert not np.array_equal(run(upscaler, frames, propagation_steps=(1,)), result)


def test_other_contents_seeds_levels_guidance_and_prompts_compile_nothing_new(upscaler, frames):
    run(upscaler, frames)
    before = _sample._cache_size()
    run(upscaler, frames[::-1], seed=9, noise_level=7, guidance_scale=5.5, prompt="a dog, ")
    assert _sample._cache_size() == before


def test_tiles_cover_a_frame_and_agree_with_the_whole_in_size(upscaler):
    frames = np.random.RandomState(1).randint(0, 256, (1, 24, 56, 3), np.uint8)
    out = run(upscaler, frames, perform_tile=True, tile_size=16, tile_context=8)
    assert out.shape == (1, 96, 224, 3) and np.abs(out).max() <= 1


@pytest.mark.parametrize("frames", [1, 56, 60, 61, 200])
def test_segments_follow_each_other_and_keep_decode_groups(frames):
    parts = segments(frames)
    assert parts[0][0] == 0 and parts[-1][1] == frames
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    assert all(start % 3 == 0 for start, _ in parts)


def test_a_clip_longer_than_a_segment_is_whole(upscaler, monkeypatch):
    monkeypatch.setattr(module, "SEGMENT", 3)
    monkeypatch.setattr(module, "OVERLAP", 0)
    frames = np.random.RandomState(2).randint(0, 256, (6, 16, 20, 3), np.uint8)
    out = run(upscaler, frames)
    assert out.shape == (6, 64, 80, 3)
    assert np.array_equal(out[:3], run(upscaler, frames[:3]))


def test_large_inputs_are_reduced_by_area_averaging():
    frames = np.zeros((1, 1280, 1280, 3), np.uint8)
    frames[:, ::2] = 200
    small, reduced = reduce_large(frames)
    assert reduced and small.shape == (1, 320, 320, 3) and (small == 100).all()
    assert reduce_large(frames[:, :1279])[1] is False


def test_bytes_are_rounded():
    assert to_bytes(np.array([-1.5, -1.0, 0.0, 1.0, 2.0])).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"noise_level": 351}, "351 is outside 0..350"),
        ({"noise_level": -1}, "-1 is negative"),
        ({"inference_steps": 0}, "0 is outside 1..1000"),
        ({"inference_steps": 1001}, "1001 is outside 1..1000"),
        ({"inference_steps": 2, "propagation_steps": (2,)}, "2 is outside 0..1"),
        ({"color_fix": "sepia"}, "sepia"),
        ({"tile_size": 3}, "3 is too small"),
    ],
)
def test_impossible_settings_are_refused_with_what_is_accepted(upscaler, options, message):
    with pytest.raises(ValueError, match=message):
        upscaler.check(UpscaleSettings(**options))


def test_a_model_without_flow_says_so(small_release, tmp_path):
    import shutil

    copy = tmp_path / "noflow"
    shutil.copytree(small_release, copy)
    shutil.rmtree(copy / "propagator")
    with pytest.raises(ValueError, match="no flow network"):
        Upscaler.from_pretrained(copy).check(UpscaleSettings(propagation_steps=(1,)))
