"""Degrades clips the way real low-quality video is degraded: blur, resize, noise, JPEG, H.264.

A first-version subset of RealBasicVSR's second-order pipeline (CVPR 2022, section 4): Gaussian blur
(isotropic or not), random intermediate size, Gaussian or Poisson noise and JPEG, then a second
blur, the reduction to a quarter, and video compression. Parameters are drawn once a clip; noise is
drawn a frame. Everything is host-side NumPy and Pillow on uint8 frames ``(T, H, W, 3)``.
"""

import io
from dataclasses import dataclass

import av
import numpy as np
from PIL import Image

_FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradationConfig:
    """Ranges of the random parameters; probabilities in [0, 1], sigmas as written."""

    blur_probability: float = 0.7
    blur_sigma: tuple[float, float] = (0.2, 2.4)  # high-resolution pixels
    second_blur_sigma: tuple[float, float] = (0.2, 1.5)
    middle_scale: tuple[float, float] = (0.4, 1.0)  # of the high-resolution size
    noise_probability: float = 0.6
    noise_sigma: tuple[float, float] = (1.0, 10.0)  # of 255
    grey_noise_probability: float = 0.4
    poisson_probability: float = 0.3
    jpeg_probability: float = 0.4
    jpeg_quality: tuple[int, int] = (40, 95)
    video_probability: float = 0.6
    video_crf: tuple[int, int] = (18, 33)


def gaussian_kernel(sigma_x: float, sigma_y: float, angle: float) -> np.ndarray:
    """A normalised Gaussian of odd size 7 to 21 turned by ``angle`` radians."""
    radius = int(np.clip(np.ceil(3 * max(sigma_x, sigma_y)), 3, 10))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((u / sigma_x) ** 2 + (v / sigma_y) ** 2))
    return kernel / kernel.sum()


def blur(clip: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolves every frame with an odd kernel, reflecting at the border (float in, float out)."""
    radius = kernel.shape[0] // 2
    _, H, W, _ = clip.shape
    mode = "reflect" if min(H, W) > radius else "edge"
    padded = np.pad(clip, ((0, 0), (radius, radius), (radius, radius), (0, 0)), mode)
    size = padded.shape[1:3]
    spectrum = np.fft.rfft2(kernel, size)[None, ..., None]
    full = np.fft.irfft2(np.fft.rfft2(padded, axes=(1, 2)) * spectrum, size, axes=(1, 2))
    return full[:, 2 * radius : 2 * radius + H, 2 * radius : 2 * radius + W].astype(np.float32)


def to_bytes(clip: np.ndarray) -> np.ndarray:
    """Rounds and clips values in [0, 255] to uint8."""
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def resize(clip: np.ndarray, width: int, height: int, resample: Image.Resampling) -> np.ndarray:
    """Resizes uint8 frames with Pillow (antialiased)."""
    return np.stack(
        [np.asarray(Image.fromarray(f).resize((width, height), resample)) for f in clip]
    )


def jpeg(clip: np.ndarray, quality: int) -> np.ndarray:
    """Each frame through JPEG."""
    out = []
    for frame in clip:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
        out.append(np.asarray(Image.open(buffer)))
    return np.stack(out)


def h264(clip: np.ndarray, crf: int) -> np.ndarray:
    """The clip through H.264 at a constant rate factor (4:2:0; odd sizes are padded and cut)."""
    T, H, W, _ = clip.shape
    padded = np.pad(clip, ((0, 0), (0, -H % 2), (0, -W % 2), (0, 0)), "edge")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = padded.shape[2], padded.shape[1], "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        for frame in padded:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as decoded:
        frames = [f.to_ndarray(format="rgb24") for f in decoded.decode(video=0)]
    assert len(frames) == T
    return np.stack(frames)[:, :H, :W]


def add_noise(clip: np.ndarray, config: DegradationConfig, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, or Poisson noise of matching strength, grey or coloured (float out)."""
    clip = clip.astype(np.float32)
    sigma = rng.uniform(*config.noise_sigma)
    grey = rng.random() < config.grey_noise_probability
    noise = rng.standard_normal((*clip.shape[:3], 1 if grey else 3)).astype(np.float32)
    if rng.random() < config.poisson_probability:
        level = clip.mean(-1, keepdims=True) if grey else clip
        return clip + noise * sigma * np.sqrt(np.maximum(level, 0) / 128)
    return clip + noise * sigma


def _random_blur(clip: np.ndarray, sigmas: tuple[float, float], rng: np.random.Generator):
    sigma_x = rng.uniform(*sigmas)
    sigma_y = sigma_x if rng.random() < 0.6 else rng.uniform(*sigmas)
    return blur(clip.astype(np.float32), gaussian_kernel(sigma_x, sigma_y, rng.uniform(0, np.pi)))


def degrade(
    clip: np.ndarray, config: DegradationConfig, rng: np.random.Generator, scale: int = 4
) -> np.ndarray:
    """A low-quality clip ``(T, H / scale, W / scale, 3)`` of a high-resolution one, both uint8."""
    _, H, W, _ = clip.shape
    out = clip
    if rng.random() < config.blur_probability:
        out = to_bytes(_random_blur(out, config.blur_sigma, rng))
    if rng.random() < 0.5:
        factor = rng.uniform(*config.middle_scale)
        middle = max(8, round(W * factor)), max(8, round(H * factor))
        out = resize(out, *middle, _FILTERS[rng.integers(3)])
        if rng.random() < config.noise_probability:
            out = to_bytes(add_noise(out, config, rng))
        if rng.random() < config.jpeg_probability:
            out = jpeg(out, int(rng.integers(*config.jpeg_quality)))
        if rng.random() < config.blur_probability / 2:
            out = to_bytes(_random_blur(out, config.second_blur_sigma, rng))
        resized = resize(out, W // scale, H // scale, _FILTERS[rng.integers(3)])
    else:
        resized = resize(out, W // scale, H // scale, _FILTERS[rng.integers(3)])
        if rng.random() < config.noise_probability:
            resized = to_bytes(add_noise(resized, config, rng))
        if rng.random() < config.jpeg_probability / 2:
            resized = jpeg(resized, int(rng.integers(*config.jpeg_quality)))
    if rng.random() < config.video_probability:
        resized = h264(resized, int(rng.integers(*config.video_crf)))
    return resized


def degrade_target(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A visibly bad clip of the same size: what the negative prompt is trained to describe."""
    out = to_bytes(_random_blur(clip, (1.0, 3.0), rng))
    return jpeg(out, int(rng.integers(15, 50))) if rng.random() < 0.5 else out
