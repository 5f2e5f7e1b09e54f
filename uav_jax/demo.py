"""The demonstration: degrade a clip whose truth is known, restore it, and compare.

The clip is a camera pan and zoom over a photograph that scikit-image ships; it is blurred, reduced
4 times, made noisy and compressed with H.264. The default model has never seen these photographs.
"""

import argparse
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from uav_jax.cli.choices import settings_from
from uav_jax.data.degradation import blur, compress, gaussian_noise, resize, to_bytes
from uav_jax.data.kernels import elliptic_kernel
from uav_jax.data.motion import CameraPath, camera_clip
from uav_jax.jobs.options import JobOptions
from uav_jax.jobs.outputs import is_result, writable_folder
from uav_jax.jobs.prepare import prepare
from uav_jax.jobs.video import run_job
from uav_jax.metrics.fidelity import psnr, ssim
from uav_jax.metrics.lpips import installed_lpips, load_lpips, lpips
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.containers import shown
from uav_jax.video.read import read_frames
from uav_jax.video.write import write_video

PHOTOS = ("astronaut", "coffee", "chelsea")
FRAMES, HEIGHT, WIDTH = 4, 256, 288
SCENES = (
    CameraPath(centre=(225, 140), velocity=(1.5, 1.0), zoom=0.995),
    CameraPath(centre=(260, 190), velocity=(2.0, 0.5), zoom=1.005),
    CameraPath(centre=(215, 140), velocity=(1.0, 0.6), angle=0.003, zoom=0.996),
)


def demo_clip() -> tuple[np.ndarray, np.ndarray]:
    """(truth, low-quality input), uint8, three scenes of a few frames each."""
    from skimage import data

    rng = np.random.default_rng(7)
    kernel = elliptic_kernel("gaussian", 11, 1.4, 1.0, 0.4)
    truths, inputs = [], []
    for name, path in zip(PHOTOS, SCENES, strict=True):
        photo = Image.fromarray(getattr(data, name)()[..., :3])
        truth = camera_clip(photo, path, WIDTH, HEIGHT, FRAMES)
        soft = to_bytes(blur(truth.astype(np.float32), kernel))
        small = resize(soft, WIDTH // 4, HEIGHT // 4, Image.Resampling.BICUBIC)
        noisy = gaussian_noise(small, np.full(FRAMES, 3.0), False, rng)
        truths.append(truth)
        inputs.append(compress(to_bytes(noisy), crf=23))
    return np.concatenate(truths), np.concatenate(inputs)


def bicubic(frames: np.ndarray) -> np.ndarray:
    """Four times enlarged with Pillow's bicubic filter: the baseline."""
    _, height, width, _ = frames.shape
    return resize(frames, 4 * width, 4 * height, Image.Resampling.BICUBIC)


def scores(result: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean PSNR, SSIM and, where its weights are installed, LPIPS (AlexNet)."""
    values = {
        "PSNR (dB, RGB)": psnr(result, truth).mean(),
        "SSIM (RGB)": ssim(result, truth).mean(),
    }
    if path := installed_lpips("alexnet"):
        a, b = (jnp.asarray(x, jnp.float32) / 127.5 - 1 for x in (result, truth))
        values["LPIPS (lower is better)"] = float(np.mean(lpips(load_lpips(path), a, b)))
    return values


def side_by_side(columns: dict[str, np.ndarray], rows: list[int]) -> Image.Image:
    """A labelled picture: one column per version, one row per frame number."""
    height, width = next(iter(columns.values())).shape[1:3]
    margin = 18
    sheet = Image.new("RGB", (width * len(columns), (height + margin) * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (title, frames) in enumerate(columns.items()):
        for j, row in enumerate(rows):
            top = j * (height + margin)
            draw.text((i * width + 4, top + 3), f"{title}, frame {row + 1}", fill="black")
            sheet.paste(Image.fromarray(frames[row]), (i * width, top + margin))
    return sheet


def _silent(*_) -> None:
    pass


FILES = ("demo_input.mp4", "demo_upscaled.mp4", "demo_compare.png")


def _check_folder(output: Path) -> None:
    """Creates the folder; `ValueError` where files in it would be replaced that are not ours."""
    writable_folder(output)
    taken = [output / name for name in FILES if (output / name).exists()]
    if taken and not is_result(output / FILES[1]):
        raise ValueError(
            f"{shown(taken[0])} exists and was not made by this program; give another -o"
        )


def run_demo(output: Path, options: argparse.Namespace, console: Console) -> dict[str, dict]:
    """Writes ``demo_input.mp4``, ``demo_upscaled.mp4`` and ``demo_compare.png``; prints scores."""
    _check_folder(output)
    truth, small = demo_clip()
    count = len(small)
    source = output / "demo_input.mp4"
    write_video(source, small, Fraction(4), output=OutputFormat(codec="h264", crf=0))
    upscaler = Upscaler.from_pretrained(options.model)
    settings = settings_from(options, upscaler.defaults)
    wanted = JobOptions(overwrite=True)
    job = prepare(upscaler, source, output / "demo_upscaled.mp4", settings, wanted, _silent)
    for note in job.notes:
        console.print(note, markup=False)
    with console.status(f"upscaling {count} frames"):
        target = run_job(upscaler, job, _silent)
    versions = {
        "bicubic": bicubic(read_frames(source)),
        "uav_jax": read_frames(target),
    }
    table = Table(title=f"{count} frames, {small.shape[2]}x{small.shape[1]} to {WIDTH}x{HEIGHT}")
    table.add_column("")
    results = {name: scores(frames, truth) for name, frames in versions.items()}
    for measure in next(iter(results.values())):
        table.add_column(measure, justify="right")
    for name, values in results.items():
        table.add_row(name, *(f"{value:.3f}" for value in values.values()))
    console.print(table)
    picture = output / "demo_compare.png"
    middles = [FRAMES // 2 + i * FRAMES for i in range(len(PHOTOS))]
    side_by_side({**versions, "truth": truth}, middles).save(picture)
    console.print(f"wrote {source}, {target} and {picture}", markup=False, soft_wrap=True)
    return results
