"""What can be scored: interpolation, a model, or results that lie in a folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from uav_jax.evaluation.dataset import EvalClip, find_clip, read_clip
from uav_jax.pipeline.upscale import Upscaler, to_bytes
from uav_jax.weights.model_files import DEFAULT_MODEL

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}

Method = Callable[[EvalClip], np.ndarray]
"""``method(clip) -> uint8 (T, 4H, 4W, 3)``."""


def interpolation(resample: Image.Resampling) -> Method:
    """Pillow's filter, 4 times, frame by frame."""

    def run(clip: EvalClip) -> np.ndarray:
        _, H, W, _ = clip.low_res.shape
        frames = (Image.fromarray(f).resize((4 * W, 4 * H), resample) for f in clip.low_res)
        return np.stack([np.asarray(f) for f in frames])

    return run


def model(name: str) -> Method:
    """A model with its own default settings."""
    upscaler = Upscaler.from_pretrained(name)
    return lambda clip: to_bytes(np.concatenate(list(upscaler.upscale(clip.low_res))))


def results(folder: Path) -> Method:
    """Finished results: ``folder/<clip>.*`` or a folder of frames ``folder/<clip>``."""

    def run(clip: EvalClip) -> np.ndarray:
        frames = read_clip(find_clip(folder, clip.name))
        if frames.shape != clip.truth.shape:
            raise ValueError(
                f"{folder}: {clip.name} is {frames.shape[:3]}, the truth {clip.truth.shape[:3]} "
                "(frames, height, width)"
            )
        return frames

    return run


def find_method(name: str) -> Method:
    """``bicubic``, ``lanczos``, ``truth``, ``default``, a model directory or a results folder."""
    if name in FILTERS:
        return interpolation(FILTERS[name])
    if name == "truth":
        return lambda clip: clip.truth
    if name == DEFAULT_MODEL or (Path(name) / "unet").is_dir():
        return model(name)
    if Path(name).is_dir():
        return results(Path(name))
    raise ValueError(
        f"unknown method {name!r}: expected {', '.join(FILTERS)}, truth, {DEFAULT_MODEL}, a model "
        "directory, or a folder of results"
    )
