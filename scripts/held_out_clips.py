"""Twelve clips of everyday damage with their truth, for ``evaluate.py`` and ``scripts.sheet``.

    python -m scripts.held_out_clips DATA OUT

``DATA`` is what ``python -m uav_jax.data.packages`` wrote; only photographs that no training sees
are taken, and some that scikit-image ships (extra "demo"). Each clip is a camera's path over a
photograph or a drawing made of one, 16 frames of 640 x 352, and its input a quarter of that. The
photographs of scikit-image are enlarged up to twice, so that their truth lacks the finest detail.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from rich.progress import track
from skimage import data

from uav_jax.data.clips import places
from uav_jax.data.degradation import (
    blur,
    compress,
    gaussian_noise,
    jpeg,
    poisson_noise,
    resize,
    to_bytes,
)
from uav_jax.data.kernels import elliptic_kernel
from uav_jax.data.motion import CameraPath, camera_clip
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.write import write_video

WIDTH, HEIGHT, FRAMES = 640, 352, 16
COLOURS, OUTLINE = 14, 40
"""Of a drawing; the contrast from which an edge gets an outline."""

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True, slots=True)
class Clip:
    """A name, the photograph's number or name, and what happens to it."""

    name: str
    photo: int | str  # of the held-out ones, or one of scikit-image
    damage: Damage
    restyle: Callable[[Image.Image], Image.Image] = lambda photo: photo


def _soft(clip: np.ndarray, sigma: float) -> np.ndarray:
    """Blurred and reduced by 4."""
    soft = to_bytes(blur(clip, elliptic_kernel("gaussian", 13, sigma, sigma, 0.0)))
    return resize(soft, WIDTH // 4, HEIGHT // 4, Image.Resampling.BICUBIC)


def _noisy(clip: np.ndarray, sigma: float, rng: np.random.Generator, *, grey=False) -> np.ndarray:
    return to_bytes(gaussian_noise(clip, np.full(len(clip), sigma), grey, rng))


def compressed(sigma: float, crf: int) -> Damage:
    """Soft and coded with H.264."""
    return lambda clip, _: compress(_soft(clip, sigma), crf=crf)


def phone(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise, sharpened by the camera, H.264."""
    noisy = _noisy(_soft(clip, 1.2), 5, rng)
    sharp = [Image.fromarray(f).filter(ImageFilter.UnsharpMask(1, 120, 2)) for f in noisy]
    return compress(np.stack([np.asarray(frame) for frame in sharp]), crf=27)


def low_light(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Few photons, H.264."""
    noisy = poisson_noise(_soft(clip, 1.0), np.full(len(clip), 0.6), False, rng)
    return compress(to_bytes(noisy), crf=25)


def old_film(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft, grain, a light that flickers."""
    light = rng.normal(1, 0.03, (len(clip), 1, 1, 1))
    grainy = gaussian_noise(_soft(clip, 1.8) * light, np.full(len(clip), 9.0), True, rng)
    return compress(to_bytes(grainy), crf=22)


def webcam(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise and JPEG."""
    return jpeg(_noisy(_soft(clip, 1.0), 3, rng), [35] * len(clip))


def dvd(clip: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """MPEG-4 with few bits."""
    return compress(_soft(clip, 1.0), "mpeg4", bit_rate=350_000)


def reduced(clip: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Nothing but a quarter of the size."""
    return resize(clip, WIDTH // 4, HEIGHT // 4, Image.Resampling.BICUBIC)


def grey(photo: Image.Image) -> Image.Image:
    """Without colour."""
    return photo.convert("L").convert("RGB")


def dark(photo: Image.Image) -> Image.Image:
    """At dusk."""
    return photo.point(lambda value: int(0.35 * value))


def drawn(photo: Image.Image) -> Image.Image:
    """Areas of one colour with dark outlines."""
    flat = photo.filter(ImageFilter.MedianFilter(9)).quantize(COLOURS).convert("RGB")
    flat = flat.filter(ImageFilter.ModeFilter(13))
    edges = np.asarray(flat.convert("L").filter(ImageFilter.FIND_EDGES)) > OUTLINE
    return Image.fromarray(np.where(edges[..., None], 24, np.asarray(flat)).astype(np.uint8))


CLIPS = (
    Clip("landscape", 0, compressed(1.4, 30)),
    Clip("phone", 3, phone),
    Clip("low_light", 6, low_light, dark),
    Clip("old_film", 9, old_film, grey),
    Clip("face", "astronaut", compressed(1.6, 26)),
    Clip("text", "page", compressed(0.8, 26)),
    Clip("drawing", 12, compressed(0.8, 27), drawn),
    Clip("drawing_of_a_cup", "coffee", compressed(1.2, 24), drawn),
    Clip("webcam", 15, webcam),
    Clip("dvd", 18, dvd),
    Clip("animal", "chelsea", compressed(1.8, 22)),
    Clip("reduced", 5, reduced),
)


def photograph(which: int | str, held_out: Sequence[Path]) -> Image.Image:
    """RGB, so large that a camera has room to move."""
    if isinstance(which, str):
        image = Image.fromarray(getattr(data, which)()).convert("RGB")
    else:
        image = Image.fromarray(np.load(held_out[which % len(held_out)]))
    factor = max(1.15 * WIDTH / image.width, 1.15 * HEIGHT / image.height)
    factor = max(factor, 0.4)
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def make(clip: Clip, held_out: Sequence[Path], folder: Path, seed: int) -> None:
    """Writes ``hr.mkv`` and ``lq_real.mkv``."""
    rng = np.random.default_rng(seed)
    photo = clip.restyle(photograph(clip.photo, held_out))
    path = CameraPath(
        centre=(photo.width / 2, photo.height / 2),
        velocity=tuple(rng.uniform(-1.2, 1.2, 2)),
        zoom=1 + rng.uniform(-0.002, 0.002),
        scale=0.98,
    )
    truth = camera_clip(photo, path, WIDTH, HEIGHT, FRAMES)
    folder.mkdir(parents=True, exist_ok=True)
    output = OutputFormat(codec="ffv1")
    for name, frames in (("hr", truth), ("lq_real", clip.damage(truth, rng))):
        write_video(folder / f"{name}.mkv", frames, Fraction(25), output=output)


def main() -> None:
    """Writes all clips."""
    parser = argparse.ArgumentParser(description="Makes twelve clips with their truth.")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    (album,) = places("photos", str(options.data), validation=True)
    for seed, clip in enumerate(track(CLIPS, "clips")):
        make(clip, album.paths, options.out / clip.name, seed)


if __name__ == "__main__":
    main()
