"""Degrades clips the way real low-quality video is degraded (RealBasicVSR, CVPR 2022, section 4).

    clip -> blur, resize, noise, JPEG -> blur, resize, noise, JPEG -> a quarter of the size
         -> video compression -> final sinc filter

Each step happens with a probability. What it does is drawn once a clip, and its strength then
drifts slowly from frame to frame; noise itself is new in every frame. All of it is NumPy, Pillow
and PyAV on the host, on uint8 frames ``(T, H, W, 3)``, and depends on the given generator alone.
"""

import io
from dataclasses import dataclass, replace

import av
import numpy as np
from PIL import Image

from uav_jax.data.kernels import KINDS, elliptic_kernel, sinc_kernel
from uav_jax.video.containers import open_buffer

_FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)

LOWEST_BIT_RATE = 2000
"""Bits a second; encoders refuse less, which matters for tiny frames only."""

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class PassConfig:
    """One round of blur, resizing, noise and JPEG. Probabilities in [0, 1]."""

    blur_probability: float = 1.0
    blur_sigma: Range = (0.2, 3.0)  # pixels
    kinds: tuple[float, float, float] = (0.7, 0.15, 0.15)  # Gaussian, generalised, plateau
    isotropic_probability: float = 0.65
    sinc_probability: float = 0.1
    resize: tuple[float, float, float] = (0.2, 0.7, 0.1)  # probabilities: up, down, keep
    scale: Range = (0.15, 1.5)  # of the original size; in the second pass, of a quarter of it
    noise_probability: float = 1.0
    poisson_probability: float = 0.5  # instead of Gaussian
    noise_sigma: Range = (1.0, 30.0)  # of 255
    poisson_scale: Range = (0.05, 3.0)
    grey_probability: float = 0.4
    jpeg_probability: float = 1.0
    jpeg_quality: Range = (30.0, 95.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradationConfig:
    """The published pipeline; ``mild`` is what the default model learns from."""

    clean_probability: float = 0.0  # of a clip that is only reduced in size
    first: PassConfig = PassConfig()
    second: PassConfig = PassConfig(
        blur_probability=0.8,
        blur_sigma=(0.2, 1.5),
        resize=(0.3, 0.4, 0.3),
        scale=(0.3, 1.2),
        noise_sigma=(1.0, 25.0),
        poisson_scale=(0.05, 2.5),
    )
    second_probability: float = 1.0
    video_probability: float = 1.0
    mpeg4_probability: float = 0.33  # instead of H.264
    video_bits: Range = (0.1, 1.0)  # bits a pixel, with a random bit rate
    video_crf: Range | None = None  # or a random constant rate factor (H.264 only)
    final_sinc_probability: float = 0.8
    drift: float = 0.03  # largest change from frame to frame, as a fraction of a parameter's range

    @classmethod
    def mild(cls) -> "DegradationConfig":
        """Weaker noise and compression by rate factor: everyday footage instead of the worst."""
        first = PassConfig(
            blur_probability=0.7,
            blur_sigma=(0.2, 2.4),
            kinds=(1.0, 0.0, 0.0),
            sinc_probability=0.0,
            resize=(0.0, 0.5, 0.5),
            scale=(0.4, 1.0),
            noise_probability=0.3,
            poisson_probability=0.3,
            noise_sigma=(1.0, 10.0),
            poisson_scale=(0.05, 0.5),
            jpeg_probability=0.2,
            jpeg_quality=(40.0, 95.0),
        )
        second = PassConfig(
            blur_probability=0.2,
            blur_sigma=(0.2, 1.5),
            kinds=(1.0, 0.0, 0.0),
            sinc_probability=0.0,
            resize=(0.0, 0.0, 1.0),
            noise_probability=0.3,
            poisson_probability=0.3,
            noise_sigma=(1.0, 10.0),
            poisson_scale=(0.05, 0.5),
            jpeg_probability=0.2,
            jpeg_quality=(40.0, 95.0),
        )
        return cls(
            first=first,
            second=second,
            video_probability=0.6,
            mpeg4_probability=0.0,
            video_crf=(18.0, 33.0),
            final_sinc_probability=0.0,
        )

    @classmethod
    def everyday(cls) -> "DegradationConfig":
        """More blur, noise and compression than ``mild``; a tenth of the clips only reduced."""
        mild = cls.mild()
        return replace(
            mild,
            clean_probability=0.1,
            first=replace(
                mild.first, blur_probability=0.8, blur_sigma=(0.2, 2.8), noise_probability=0.45
            ),
            video_probability=0.8,
        )


def drifting(rng: np.random.Generator, bounds: Range, frames: int, drift: float) -> np.ndarray:
    """A parameter of each frame: a random start, then small random steps inside ``bounds``."""
    low, high = bounds
    steps = rng.uniform(-drift, drift, frames) * (high - low)
    steps[0] = rng.uniform(low, high) - low
    return low + _reflected(np.cumsum(steps), high - low)


def _reflected(values: np.ndarray, span: float) -> np.ndarray:
    """Values folded back into [0, span] at both ends."""
    if span == 0:
        return np.zeros_like(values)
    folded = np.mod(values, 2 * span)
    return np.minimum(folded, 2 * span - folded)


def to_bytes(clip: np.ndarray) -> np.ndarray:
    """Rounds and clips values in [0, 255] to uint8."""
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def blur(clip: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Convolves frame t with odd kernel t (or all with one), reflecting at the border (float)."""
    radius = kernels.shape[-1] // 2
    _, H, W, _ = clip.shape
    mode = "reflect" if min(H, W) > radius else "edge"
    around = ((0, 0), (radius, radius), (radius, radius), (0, 0))
    padded = np.pad(clip.astype(np.float32), around, mode)
    size = padded.shape[1:3]
    spectra = np.fft.rfft2(kernels.reshape(-1, *kernels.shape[-2:]), size)[..., None]
    full = np.fft.irfft2(np.fft.rfft2(padded, axes=(1, 2)) * spectra, size, axes=(1, 2))
    return full[:, 2 * radius : 2 * radius + H, 2 * radius : 2 * radius + W].astype(np.float32)


def resize(clip: np.ndarray, width: int, height: int, resample: Image.Resampling) -> np.ndarray:
    """Resizes uint8 frames with Pillow (antialiased)."""
    return np.stack(
        [np.asarray(Image.fromarray(f).resize((width, height), resample)) for f in clip]
    )


def jpeg(clip: np.ndarray, qualities: np.ndarray | list[int]) -> np.ndarray:
    """Frame t through JPEG of quality t (1 to 95)."""
    out = []
    for frame, quality in zip(clip, qualities, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=int(quality))
        out.append(np.asarray(Image.open(buffer)))
    return np.stack(out)


def compress(
    clip: np.ndarray, codec: str = "libx264", *, crf: int | None = None, bit_rate: int | None = None
) -> np.ndarray:
    """The clip through a video codec at 25 frames a second (4:2:0; odd sizes padded and cut)."""
    T, H, W, _ = clip.shape
    padded = np.pad(clip, ((0, 0), (0, -H % 2), (0, -W % 2), (0, 0)), "edge")
    buffer = io.BytesIO()
    with open_buffer(buffer, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = padded.shape[2], padded.shape[1], "yuv420p"
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        options: dict[str, object] = {"crf": str(crf)} if crf is not None else {}
        if codec == "libx264":
            # x264's macroblock tree reads memory that nobody wrote: now and then a clip came out
            # differently, and a resumed run was no longer the uninterrupted one.
            options |= {"threads": "1", "x264-params": "mbtree=0"}
        stream.options = options
        for frame in padded:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with open_buffer(buffer, "r") as decoded:
        frames = [f.to_ndarray(format="rgb24") for f in decoded.decode(video=0)]
    assert len(frames) == T
    return np.stack(frames)[:, :H, :W]


def gaussian_noise(
    clip: np.ndarray, sigmas: np.ndarray, grey: bool, rng: np.random.Generator
) -> np.ndarray:
    """Frame t plus Gaussian noise of deviation ``sigmas[t]`` (of 255); float out."""
    noise = rng.standard_normal((*clip.shape[:3], 1 if grey else 3), np.float32)
    return clip + noise * np.asarray(sigmas, np.float32)[:, None, None, None]


def poisson_noise(
    clip: np.ndarray, scales: np.ndarray, grey: bool, rng: np.random.Generator
) -> np.ndarray:
    """Frame t plus ``scales[t]`` times its shot noise at 256 photons full scale; float out."""
    level = clip.mean(-1, keepdims=True) if grey else clip
    photons = np.maximum(level, 0) / 255 * 256
    noise = (rng.poisson(photons) - photons).astype(np.float32) / 256 * 255
    return clip + noise * np.asarray(scales, np.float32)[:, None, None, None]


def random_kernels(
    config: PassConfig, frames: int, drift: float, rng: np.random.Generator
) -> np.ndarray:
    """A kernel a frame, ``(T, size, size)``: one kind and size, drifting width and angle."""
    size = int(2 * rng.integers(3, 11) + 1)
    if rng.random() < config.sinc_probability:
        return random_sinc(size, frames, drift, rng)
    kind = KINDS[rng.choice(3, p=np.array(config.kinds) / sum(config.kinds))]
    beta = rng.uniform(*((0.5, 4.0) if kind == "generalised" else (1.0, 2.0)))
    sigma_x = drifting(rng, config.blur_sigma, frames, drift)
    round_one = rng.random() < config.isotropic_probability
    sigma_y = sigma_x if round_one else drifting(rng, config.blur_sigma, frames, drift)
    angle = drifting(rng, (0, np.pi), frames, drift)
    rows = zip(sigma_x, sigma_y, angle, strict=True)
    return np.stack([elliptic_kernel(kind, size, *row, beta) for row in rows])


def random_sinc(size: int, frames: int, drift: float, rng: np.random.Generator) -> np.ndarray:
    """Sinc kernels of drifting cut-off, ``(T, size, size)``."""
    lowest = np.pi / 3 if size < 13 else np.pi / 5
    return np.stack(
        [sinc_kernel(size, cutoff) for cutoff in drifting(rng, (lowest, np.pi), frames, drift)]
    )


def _random_noise(
    clip: np.ndarray, config: PassConfig, drift: float, rng: np.random.Generator
) -> np.ndarray:
    grey = bool(rng.random() < config.grey_probability)
    if rng.random() < config.poisson_probability:
        scales = drifting(rng, config.poisson_scale, len(clip), drift)
        return to_bytes(poisson_noise(clip, scales, grey, rng))
    sigmas = drifting(rng, config.noise_sigma, len(clip), drift)
    return to_bytes(gaussian_noise(clip, sigmas, grey, rng))


def _resize_randomly(clip: np.ndarray, width: int, height: int, rng: np.random.Generator):
    """Resizes with a random filter; frames of that size stay as they are."""
    resample = _FILTERS[rng.integers(3)]
    if clip.shape[1:3] == (height, width):
        return clip
    return resize(clip, width, height, resample)


def degrade_once(
    clip: np.ndarray,
    config: PassConfig,
    size: tuple[int, int],
    drift: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """One pass; frames come out at ``size`` (height, width) times a random scale."""
    if rng.random() < config.blur_probability:
        clip = to_bytes(blur(clip, random_kernels(config, len(clip), drift, rng)))
    low, high = config.scale
    ranges = (1.0, high), (low, min(high, 1.0)), (1.0, 1.0)  # up, down, keep
    scale = rng.uniform(*ranges[rng.choice(3, p=np.array(config.resize) / sum(config.resize))])
    clip = _resize_randomly(
        clip, max(8, round(size[1] * scale)), max(8, round(size[0] * scale)), rng
    )
    if rng.random() < config.noise_probability:
        clip = _random_noise(clip, config, drift, rng)
    if rng.random() < config.jpeg_probability:
        clip = jpeg(clip, np.rint(drifting(rng, config.jpeg_quality, len(clip), drift)))
    return clip


def _random_video(
    clip: np.ndarray, config: DegradationConfig, rng: np.random.Generator
) -> np.ndarray:
    if config.video_crf is not None:
        return compress(clip, crf=round(rng.uniform(*config.video_crf)))
    codec = "mpeg4" if rng.random() < config.mpeg4_probability else "libx264"
    bits = rng.uniform(*config.video_bits)
    bit_rate = max(LOWEST_BIT_RATE, int(bits * clip.shape[1] * clip.shape[2] * 25))
    return compress(clip, codec, bit_rate=bit_rate)


def degrade(
    clip: np.ndarray, config: DegradationConfig, rng: np.random.Generator, scale: int = 4
) -> np.ndarray:
    """A low-quality clip ``(T, H / scale, W / scale, 3)`` of a high-resolution one, both uint8."""
    T, H, W, _ = clip.shape
    if config.clean_probability and rng.random() < config.clean_probability:
        return resize(clip, W // scale, H // scale, Image.Resampling.BICUBIC)
    out = degrade_once(clip, config.first, (H, W), config.drift, rng)
    if rng.random() < config.second_probability:
        out = degrade_once(out, config.second, (H // scale, W // scale), config.drift, rng)
    out = _resize_randomly(out, W // scale, H // scale, rng)
    if rng.random() < config.video_probability:
        out = _random_video(out, config, rng)
    if rng.random() < config.final_sinc_probability:
        size = int(2 * rng.integers(3, 11) + 1)
        out = to_bytes(blur(out, random_sinc(size, T, config.drift, rng)))
    return out


def degrade_target(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A visibly bad clip of the same size: what the negative prompt is trained to describe."""
    config = PassConfig(blur_sigma=(1.0, 3.0), isotropic_probability=0.5, sinc_probability=0.0)
    out = to_bytes(blur(clip, random_kernels(config, len(clip), 0.0, rng)))
    return jpeg(out, [int(rng.integers(15, 50))] * len(clip)) if rng.random() < 0.5 else out
