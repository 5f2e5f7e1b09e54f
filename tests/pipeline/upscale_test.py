"""The pipeline on small seeded networks: determinism, what changes the result, segments."""

import dataclasses

import jax
import numpy as np
import pytest

from uav_jax.diffusion.sampler import guided
from uav_jax.motion.flow import ClipFlow
from uav_jax.pipeline import plan as plan_module
from uav_jax.pipeline import runner as runner_module
from uav_jax.pipeline import upscale as upscale_module
from uav_jax.pipeline.segments import plan_segments
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler, to_bytes

ROUNDING = 2e-5
"""Calls of the network with other rows beside them sum in another order."""

SETTINGS = UpscaleSettings(inference_steps=2, noise_level=50, guidance_scale=3.0, seed=3)


@pytest.fixture(scope="module")
def upscaler(tiny_release):
    return Upscaler.from_pretrained(tiny_release)


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
        {"solver": "dpmpp"},
        {"solver": "unipc"},
        {"guidance_interval": (0, 300)},
        {"deep_reuse": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_changes_the_result(upscaler, frames, result, change):
    assert not np.array_equal(run(upscaler, frames, **change), result)


def test_propagation_along_still_flow_changes_the_result(upscaler, frames, result, monkeypatch):
    still = np.zeros((1, len(frames) - 1, 16, 20, 2), np.float32)  # seeded RAFT is never consistent
    monkeypatch.setattr(upscale_module, "_clip_flow", lambda *_: ClipFlow(still, still))
    assert not np.array_equal(run(upscaler, frames, propagation_steps=(1,)), result)


def test_other_contents_seeds_levels_guidance_and_prompts_compile_nothing_new(upscaler, frames):
    run(upscaler, frames)
    before = guided._cache_size()
    run(upscaler, frames[::-1], seed=9, noise_level=7, guidance_scale=5.5, prompt="a dog, ")
    assert guided._cache_size() == before


def test_tiles_cover_a_frame_and_agree_with_the_whole_in_size(upscaler):
    frames = np.random.RandomState(1).randint(0, 256, (1, 24, 56, 3), np.uint8)
    out = run(upscaler, frames, perform_tile=True, tile_size=16, tile_context=8)
    assert out.shape == (1, 96, 224, 3) and np.abs(out).max() <= 1


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(plan_module, "SEGMENT", 6)


def test_where_segments_are_cut_does_not_change_a_one_step_result(upscaler, request):
    frames = np.random.RandomState(2).randint(0, 256, (20, 8, 12, 3), np.uint8)
    settings = {"inference_steps": 1, "guidance_scale": 1.0}
    whole = run(upscaler, frames, **settings)
    request.getfixturevalue("small_segments")
    assert len(upscaler.plan(20, 8, 12).segments) == 4
    assert np.abs(run(upscaler, frames, **settings) - whole).max() < ROUNDING


def test_with_more_steps_a_cut_reaches_no_further_than_the_windows_beside_it(upscaler, request):
    frames = np.random.RandomState(2).randint(0, 256, (30, 8, 12, 3), np.uint8)
    whole = run(upscaler, frames, guidance_scale=1.0)
    request.getfixturevalue("small_segments")
    cut = run(upscaler, frames, guidance_scale=1.0)
    assert np.abs(cut - whole).max() < 0.02 * np.abs(whole).max()


def test_nothing_crosses_a_scene_cut(upscaler):
    frames = np.random.RandomState(3).randint(0, 256, (17, 8, 12, 3), np.uint8)
    halves = [run(upscaler, part, guidance_scale=1.0) for part in (frames[:8], frames[8:])]
    settings = dataclasses.replace(SETTINGS, guidance_scale=1.0)
    together = np.concatenate(list(upscaler.upscale(frames, settings, cuts=(8,))))
    assert np.abs(together - np.concatenate(halves)).max() < ROUNDING


def test_overlapping_decode_groups_average_what_both_made(upscaler):
    frames = np.random.RandomState(4).randint(0, 256, (9, 8, 12, 3), np.uint8)
    plain, blended = (run(upscaler, frames, decode_overlap=k, guidance_scale=1.0) for k in (0, 1))
    assert plain.shape == blended.shape and not np.array_equal(plain, blended)
    assert np.abs(plain[:2] - blended[:2]).max() < ROUNDING  # the first group alone makes these


def test_published_tiling_gives_every_pixel_to_one_tile(upscaler):
    frames = np.random.RandomState(1).randint(0, 256, (1, 24, 56, 3), np.uint8)
    tiled = {"perform_tile": True, "tile_size": 16, "tile_context": 8}
    blended, cut = (run(upscaler, frames, tiling=t, **tiled) for t in ("blended", "published"))
    assert np.abs(blended - cut).max() > 0


def test_where_memory_is_short_the_plan_is_halved_and_the_run_goes_on(upscaler, monkeypatch):
    frames = np.random.RandomState(1).randint(0, 256, (2, 40, 72, 3), np.uint8)
    seen, real = [], runner_module.sample

    def short(unet, *arguments, places, rows_at_once, **options):
        seen.append((places.shares.shape[1:3], rows_at_once))
        if len(seen) < 3:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return real(unet, *arguments, places=places, rows_at_once=rows_at_once, **options)

    monkeypatch.setattr(runner_module, "sample", short)
    told = []
    progress = lambda *message: told.append(message[0])  # noqa: E731
    out = np.concatenate(list(upscaler.upscale(frames, SETTINGS, progress=progress)))
    assert out.shape == (2, 160, 288, 3) and np.isfinite(out).all()
    assert seen[0] == ((40, 72), 2) and seen[1] == ((40, 72), 1)
    assert seen[2][0][0] * seen[2][0][1] < 0.6 * 40 * 72
    assert len([t for t in told if t.startswith("out of memory")]) == 2


def test_a_plan_shrinks_tiles_to_the_memory_and_refuses_what_can_never_fit(upscaler):
    plenty = upscaler.plan(10, 300, 500, SETTINGS, memory=2**36)
    little = upscaler.plan(10, 300, 500, SETTINGS, memory=2**26)
    assert len(plenty.tiles) < len(little.tiles)
    assert min(little.tiles[0].height, little.tiles[0].width) >= 16
    with pytest.raises(MemoryError, match="cannot be halved below"):
        upscaler.plan(10, 300, 500, SETTINGS, memory=2**10)


@pytest.mark.parametrize("cuts", [(0,), (5, 5), (7, 3), (10,)])
def test_cuts_that_do_not_rise_inside_the_clip_are_refused(cuts):
    with pytest.raises(ValueError, match="do not rise between 1 and 9"):
        plan_segments(10, 48, cuts)


def test_frames_of_16_bits_are_seen_as_those_of_8(upscaler):
    frames = np.random.RandomState(4).randint(0, 256, (2, 8, 12, 3), np.uint8)
    deep = frames.astype(np.uint16) * 257
    settings = {"inference_steps": 1, "guidance_scale": 1.0}
    assert np.abs(run(upscaler, deep, **settings) - run(upscaler, frames, **settings)).max() < 1e-5


def test_frames_of_other_types_are_refused(upscaler):
    with pytest.raises(ValueError, match="dtype float32; expected uint8 or uint16"):
        next(upscaler.upscale(np.zeros((2, 8, 12, 3), np.float32), SETTINGS))


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


def test_a_model_without_flow_says_so(tiny_release, tmp_path):
    import shutil

    copy = tmp_path / "noflow"
    shutil.copytree(tiny_release, copy)
    shutil.rmtree(copy / "propagator")
    with pytest.raises(ValueError, match="no flow network"):
        Upscaler.from_pretrained(copy).check(UpscaleSettings(propagation_steps=(1,)))
