"""What the default model's settings do to its scores: docs/default_model_curves.png.

    python -m scripts.curves EVALUATION_CLIPS [--kind real] [--clips N] [--frames N]

Noise level, and each phrase with guidance. Ablations: every frame as a clip of its own, the U-Net's
latents zero (to the decoder: the middle noise level, no prompt), propagation along optical flow.
Means over the clips, also as JSON.
"""

import argparse
import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from flax import nnx
from rich.console import Console

from uav_jax.evaluation.dataset import Dataset, EvalClip, checked
from uav_jax.evaluation.methods import Method
from uav_jax.evaluation.run import evaluate
from uav_jax.evaluation.scores import Scorer
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler, to_bytes
from uav_jax.video.read import stream_frames

DOCS = Path(__file__).parent.parent / "docs"
MEASURES = {
    "lpips_alex": "LPIPS",
    "psnr_rgb": "PSNR (dB)",
    "ewarp": "E*warp",
    "noise_gain": "noise gain",
    "sharpness": "sharpness",
}
NOISE_LEVELS = (0, 10, 20, 30, 40, 50, 60)
GUIDANCE = (1.0, 1.5, 2.0)


class FirstFrames(EvalClip):
    """The first frames of a clip: as many as its input has."""

    def truth(self) -> Iterator[np.ndarray]:
        """See ``EvalClip``."""
        assert self.truth_path is not None
        first = islice(stream_frames(self.truth_path), len(self.low_res))
        return checked(first, self.shape, str(self.truth_path), crop=True)


class Shortened(Dataset):
    """The first so many clips of a data set, and of each the first so many frames."""

    def __init__(self, directory: Path, kind: str, clips: int | None, frames: int | None):
        super().__init__(directory, kind)
        self.names, self._frames = self.names[:clips], frames

    def clip(self, name: str) -> FirstFrames:
        """See ``Dataset``."""
        whole = super().clip(name)
        return FirstFrames(name, whole.low_res[: self._frames], whole.truth_path)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The arguments that choose clips and frames."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kind", default="real")
    parser.add_argument("--clips", type=int, help="only the first so many")
    parser.add_argument("--frames", type=int, help="only the first so many of each clip")
    return parser


class Sharpness:
    """Mean squared gradient of a result (of values in [0, 1]), which the scorer does not have."""

    def __init__(self):
        self.values: list[float] = []

    def add(self, frame: np.ndarray) -> None:
        """Counts a frame."""
        x = frame.astype(np.float32) / 255
        self.values.append(float(sum(np.square(np.diff(x, axis=a)).mean() for a in (0, 1))))


def method(upscaler: Upscaler, settings: UpscaleSettings, sharpness: Sharpness, alone: bool):
    """The model with some settings; ``alone``: every frame as a clip of its own."""

    def run(clip: EvalClip) -> Iterator[np.ndarray]:
        clips = [clip.low_res[t : t + 1] for t in range(len(clip.low_res))]
        for part in clips if alone else [clip.low_res]:
            for group in upscaler.upscale(part, settings):
                for frame in to_bytes(group):
                    sharpness.add(frame)
                    yield frame

    return Method(run)


def scores(dataset: Dataset, scorer: Scorer, upscaler: Upscaler, settings, alone=False) -> dict:
    """Means over the clips."""
    sharpness = Sharpness()
    methods = {"it": method(upscaler, settings, sharpness, alone)}
    report, _ = evaluate(dataset, methods, scorer, lambda *_: None)
    return {**report["it"]["mean"], "sharpness": float(np.mean(sharpness.values))}


def plot(found: dict, path: Path) -> None:
    """A column for the noise level and one for the phrases, a row for each measure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(MEASURES), 2, figsize=(9, 11), sharey="row")
    for (left, right), (measure, title) in zip(axes, MEASURES.items(), strict=True):
        levels = found["noise_level"]
        left.plot(NOISE_LEVELS, [levels[str(v)][measure] for v in NOISE_LEVELS], "o-")
        left.set_ylabel(title)
        for phrase, values in found["phrases"].items():
            right.plot(GUIDANCE, [values[str(g)][measure] for g in GUIDANCE], "o-", label=phrase)
        for axis in (left, right):
            axis.axhline(found["default"][measure], color="grey", linewidth=0.8)
            axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel("noise level")
    axes[-1, 1].set_xlabel("guidance")
    axes[0, 1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def without_unet(upscaler: Upscaler) -> Upscaler:
    """The model with a U-Net whose latents are zero."""
    silent = copy.copy(upscaler)
    silent.unet = nnx.clone(upscaler.unet)
    for parameter in (silent.unet.conv_out.kernel, silent.unet.conv_out.bias):
        parameter[...] = 0 * parameter[...]
    return silent


def main() -> None:
    """Measures and writes the picture and the numbers."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, default=DOCS / "default_model_curves.png")
    options = parser.parse_args()
    console, upscaler = Console(), Upscaler.from_pretrained(options.model)
    dataset = Shortened(options.data, options.kind, options.clips, options.frames)
    scorer = Scorer([m for m in MEASURES if m != "sharpness"])
    defaults = upscaler.defaults

    def measured(name: str, model: Upscaler = upscaler, alone: bool = False, **fields) -> dict:
        values = scores(dataset, scorer, model, replace(defaults, **fields), alone)
        console.print(name, {k: round(values[k], 4) for k in MEASURES})
        return values

    found: dict = {"default": measured("default")}
    found["every frame alone"] = measured("every frame alone", alone=True)
    found["latents zero"] = measured("latents zero", without_unet(upscaler))
    found["propagation"] = measured("propagation", propagation_steps=(0,))
    found["noise_level"] = {
        str(level): found["default"]
        if level == defaults.noise_level
        else measured(f"noise level {level}", noise_level=level)
        for level in NOISE_LEVELS
    }
    found["phrases"] = {
        phrase: {
            str(g): measured(f"{phrase}, guidance {g}", prompt=phrase, guidance_scale=g)
            for g in GUIDANCE
        }
        for phrase in upscaler.phrases or ()
    }
    plot(found, options.out)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
