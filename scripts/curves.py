"""What the default model's settings do to its scores: docs/default_model_curves.png.

    python -m scripts.curves EVALUATION_CLIPS [--kind real] [--clips N] [--frames N]

Steps, guidance, noise level; what is left without the temporal layers' view of other frames (every
frame alone), and what propagation along optical flow adds. Means over the clips, also as JSON.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
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
    "sharpness": "sharpness",
}
SWEEPS = {
    "inference_steps": (1, 2, 4),
    "guidance_scale": (1.0, 3.0, 6.0, 9.0),
    "noise_level": (0, 3, 10, 20, 40, 60),
}

ABLATION = {
    "every frame alone": "alone",
    "no propagation": "together",
    "propagation": "propagated",
}
"""Without a view of other frames, with it, and with latents that follow optical flow as well."""


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
    """A column for each setting, a row for each measure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shape = (len(MEASURES), len(SWEEPS) + 1)
    figure, axes = plt.subplots(*shape, figsize=(12, 9), sharey="row")
    for axis, measure in zip(axes[:, -1], MEASURES, strict=True):
        axis.plot(list(ABLATION.values()), [found[name][measure] for name in ABLATION], "o")
        axis.grid(alpha=0.3)
    for column, (field, values) in zip(axes.T, SWEEPS.items(), strict=False):
        for axis, (measure, title) in zip(column, MEASURES.items(), strict=True):
            axis.plot(values, [found[field][str(v)][measure] for v in values], "o-")
            axis.axhline(found["default"][measure], color="grey", linewidth=0.8)
            axis.set_ylabel(title if field == next(iter(SWEEPS)) else "")
            axis.grid(alpha=0.3)
        column[-1].set_xlabel(field.replace("_", " "))
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    """Measures and writes the picture and the numbers."""
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, default=DOCS / "default_model_curves.png")
    options = parser.parse_args()
    console, upscaler = Console(), Upscaler.from_pretrained()
    dataset = Shortened(options.data, options.kind, options.clips, options.frames)
    scorer = Scorer([m for m in MEASURES if m != "sharpness"])
    defaults = upscaler.defaults
    found: dict = {}

    def measured(name: str, settings: UpscaleSettings, alone: bool = False) -> dict:
        values = scores(dataset, scorer, upscaler, settings, alone)
        console.print(name, {k: round(values[k], 4) for k in MEASURES})
        return values

    found["default"] = measured("default", defaults)
    still = replace(defaults, propagation_steps=())
    found["every frame alone"] = measured("every frame alone", still, alone=True)
    last = (defaults.inference_steps - 1,)
    for name, steps in (("no propagation", ()), ("propagation", last)):
        same = defaults.propagation_steps == steps
        settings = replace(defaults, propagation_steps=steps)
        found[name] = found["default"] if same else measured(name, settings)
    for field, values in SWEEPS.items():
        found[field] = {}
        for value in values:
            same = getattr(defaults, field) == value
            made = (
                found["default"]
                if same
                else measured(f"{field} {value}", replace(defaults, **{field: value}))
            )
            found[field][str(value)] = made
    plot(found, options.out)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
