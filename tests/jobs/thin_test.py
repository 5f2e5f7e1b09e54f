"""Frames that are very long and narrow: planned by their sides, in memory like others."""

import numpy as np
import pytest
from PIL import Image

from tests.clips import make_video, smooth_frames
from tests.jobs.bomb_reader import megabytes_since, restart_peak
from tests.stub import stub_upscaler
from uav_jax.jobs.estimate import describe
from uav_jax.jobs.options import JobOptions
from uav_jax.jobs.prepare import prepare
from uav_jax.jobs.video import run_job
from uav_jax.layers.resample import resize_memory
from uav_jax.pipeline.color import fix_color
from uav_jax.pipeline.tiling import CONTEXT
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.images import read_picture

MEGABYTES = 700
"""Of the plan with the real networks' programs; with dense matrices it took 6,200."""

SIZES = [(8000, 1), (1, 8000), (8000, 2)]


def silent(*_):
    pass


def plan_of(width, height):
    upscaler = stub_upscaler()
    return upscaler.plan(1, height, width, memory=2**34)


@pytest.mark.parametrize("width, height", SIZES)
def test_thin_pictures_run_and_keep_their_pixels(width, height, tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "thin.png")
    upscaler = stub_upscaler()
    options = JobOptions(scale=2)  # which reduces the result by area
    job = prepare(
        upscaler, tmp_path / "thin.png", tmp_path / "out.png", upscaler.defaults, options, silent
    )
    before = restart_peak()
    result = read_picture(run_job(upscaler, job, silent)).pixels
    assert np.array_equal(result, np.repeat(np.repeat(pixels, 2, 0), 2, 1))
    assert megabytes_since(before) < MEGABYTES


def test_thin_videos_run(tmp_path):
    source = make_video(tmp_path / "a.mkv", smooth_frames(2, 2, 8000), range(2))
    options = JobOptions(output=OutputFormat(codec="ffv1"))
    upscaler = stub_upscaler()
    job = prepare(upscaler, source, tmp_path / "out.mkv", upscaler.defaults, options, silent)
    run_job(upscaler, job, silent)
    assert job.is_done() and job.size == (8, 32_000)


@pytest.mark.parametrize("width, height", SIZES)
def test_thin_frames_are_tiled_by_their_sides(width, height):
    plan = plan_of(width, height)
    longest = plan.tile + 2 * CONTEXT
    assert max(plan.tiles[0].height, plan.tiles[0].width) <= longest
    assert len(plan.tiles) < 40


def test_the_plan_of_a_thin_frame_is_described_in_little_memory(tmp_path):
    Image.new("RGB", (8000, 1)).save(tmp_path / "thin.png")
    upscaler = stub_upscaler()
    job = prepare(
        upscaler, tmp_path / "thin.png", tmp_path / "o.png", upscaler.defaults, JobOptions(), silent
    )
    before = restart_peak()
    assert "32000x4" in describe(upscaler, job)
    assert megabytes_since(before) < MEGABYTES


def test_ordinary_frames_are_tiled_as_before():
    for width, height, tiles in ((320, 180, 1), (383, 384, 4), (480, 854, 15), (2000, 60, 1)):
        assert len(plan_of(width, height).tiles) == tiles, (width, height)


def test_memory_of_a_plan_counts_the_resampling_of_its_tiles():
    upscaler = stub_upscaler()
    vae = upscaler.network("vae_video" if upscaler.defaults.use_video_vae else "vae_3d")
    plan = plan_of(2000, 1)
    assert len(plan.tiles) == 1
    resizing = resize_memory(plan.width, 4 * plan.width)
    assert plan.memory(upscaler.unet.config, vae.config, 4) >= resizing > 1.5e8


@pytest.mark.parametrize("method", ["adain", "wavelet"])
def test_colours_of_a_thin_frame_are_fixed_in_little_memory(method):
    before = restart_peak()
    frames = np.random.RandomState(0).uniform(-1, 1, (1, 4, 32_000, 3)).astype(np.float32)
    low_res = frames[:, ::4, ::4]
    fixed = fix_color(frames, low_res, method)
    assert fixed.shape == frames.shape and np.isfinite(fixed).all()
    assert megabytes_since(before) < MEGABYTES
