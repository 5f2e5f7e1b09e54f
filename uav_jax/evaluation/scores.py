"""The scores of a clip's results, frame by frame, in memory that does not grow with its length."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from uav_jax.metrics import no_reference
from uav_jax.metrics.artefacts import blocking, noise_gain
from uav_jax.metrics.consistency import SELF_PIXELS, Motion, flicker, motion, warping_error
from uav_jax.metrics.fidelity import luma_psnr, luma_ssim, psnr, ssim
from uav_jax.metrics.lpips import LPIPSWeights, installed_lpips, load_lpips, lpips


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the table."""

    title: str
    best: int  # 1: higher is better, -1: lower, 0: neither
    needs_truth: bool = True
    default: bool = True


MEASURES = {
    "psnr_rgb": Measure("PSNR, RGB (dB)", 1),
    "psnr_y": Measure("PSNR, luma (dB)", 1),
    "ssim_rgb": Measure("SSIM, RGB", 1),
    "ssim_y": Measure("SSIM, luma", 1),
    "lpips_alex": Measure("LPIPS, AlexNet", -1),
    "lpips_vgg": Measure("LPIPS, VGG", -1, default=False),
    "ewarp": Measure("E*warp (1000x)", -1),
    "ewarp_self": Measure("E*warp, own flow (1000x)", -1, needs_truth=False),
    "flicker": Measure("flicker (8 bit)", -1, needs_truth=False),
    "blocking": Measure("blocking on the grid of 4", 0, needs_truth=False),
    "noise_gain": Measure("noise gain, flat regions", 0),
    "clipiqa": Measure("CLIP-IQA", 1, needs_truth=False, default=False),
    "musiq": Measure("MUSIQ", 1, needs_truth=False, default=False),
}
COSTS = {"seconds_per_frame": "s a frame", "memory_mb": "memory (MB)"}
"""What a result cost: reported beside the measures."""

BACKBONES = {"lpips_alex": "alexnet", "lpips_vgg": "vgg16"}

Frame = np.ndarray
PerFrame = dict[str, list[float]]


def chosen_measures(text: str | None) -> list[str]:
    """Names from ``a,b``, ``all``, or None for the default ones; ``ValueError`` for others."""
    if text is None:
        return [name for name, measure in MEASURES.items() if measure.default]
    names = list(MEASURES) if text == "all" else [n for n in text.split(",") if n]
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names:
        raise ValueError(
            f"metrics {text!r}: expected all, or some of {', '.join(MEASURES)}, separated by commas"
        )
    return names


class Scorer:
    """Computes the chosen measures; ``missing`` holds the reasons for those that cannot be.

    ``no_truth`` are the clips without a truth, if any.
    """

    def __init__(self, names: Iterable[str], *, no_truth: Sequence[str] = ()):
        self.missing: dict[str, str] = {}
        self.names: list[str] = []
        self._weights: dict[str, LPIPSWeights] = {}
        self._no_reference: dict[str, Callable[[Frame], float]] = {}
        for name in names:
            reason = self._prepare(name, no_truth)
            if reason is None:
                self.names.append(name)
            else:
                self.missing[name] = reason

    def _prepare(self, name: str, no_truth: Sequence[str]) -> str | None:
        if MEASURES[name].needs_truth and no_truth:
            return f"there is no truth (hr.*) for {', '.join(no_truth)}"
        if name in BACKBONES:
            path = installed_lpips(BACKBONES[name])
            if path is None:
                return 'its weights are missing; install the extra "eval"'
            self._weights[name] = load_lpips(path)
        if name in no_reference.NAMES:
            try:
                self._no_reference[name] = no_reference.load_score(name)
            except no_reference.MissingScore as error:
                return str(error)
        return None

    def frame(self, result: Frame, truth: Frame | None) -> dict[str, float]:
        """The measures of one frame, uint8 ``(H, W, 3)``."""
        values = {}
        for name in self.names:
            if name in self._no_reference:
                values[name] = self._no_reference[name](result)
            elif name in self._weights:
                values[name] = float(_lpips(self._weights[name], result, truth))
            elif name == "blocking":
                values[name] = float(blocking(result[None])[0])
            elif name in _FIDELITY:
                assert truth is not None
                values[name] = float(_FIDELITY[name](result[None], truth[None])[0])
        return values

    def truth_motion(self, before: Frame | None, frame: Frame | None) -> Motion | None:
        """The truth's motion between two frames, if any measure needs it."""
        if "ewarp" not in self.names or before is None or frame is None:
            return None
        return motion(before, frame)

    def pair(self, before: Frame, frame: Frame, truth: Motion | None) -> dict[str, float]:
        """The measures of two neighbouring frames."""
        values = {}
        if truth is not None:
            values["ewarp"] = float(warping_error(before, frame, truth))
        if "ewarp_self" in self.names:
            own = motion(before, frame, SELF_PIXELS)
            values["ewarp_self"] = float(warping_error(before, frame, own))
        return values

    def triple(self, first: Frame, second: Frame, third: Frame) -> dict[str, float]:
        """The measures of three neighbouring frames."""
        if "flicker" not in self.names:
            return {}
        return {"flicker": float(flicker(first, second, third))}


_FIDELITY = {
    "psnr_rgb": psnr,
    "psnr_y": luma_psnr,
    "ssim_rgb": ssim,
    "ssim_y": luma_ssim,
    "noise_gain": noise_gain,
}


@jax.jit
def _lpips(weights: LPIPSWeights, a: jax.Array, b: jax.Array) -> jax.Array:
    x, y = (v[None].astype(jnp.float32) / 127.5 - 1 for v in (a, b))
    return lpips(weights, x, y)[0]


@dataclass(slots=True)
class ResultScores:
    """One result's scores so far, and the frames that the next ones need."""

    scorer: Scorer
    per_frame: PerFrame = field(default_factory=dict)
    _last: list[Frame] = field(default_factory=list)

    def add(self, result: Frame, truth: Frame | None, motion: Motion | None) -> None:
        """The next frame; ``motion`` is the truth's since the last one."""
        values = self.scorer.frame(result, truth)
        if self._last:
            values |= self.scorer.pair(self._last[-1], result, motion)
        if len(self._last) == 2:
            values |= self.scorer.triple(self._last[0], self._last[1], result)
        self._last = [*self._last[-1:], result]
        for name, value in values.items():
            self.per_frame.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        """The mean of every measure over the clip."""
        return {name: float(np.mean(values)) for name, values in self.per_frame.items()}


def mean_scores(clips: dict[str, dict[str, float]]) -> dict[str, float]:
    """The mean over clips of every measure that all of them have (of memory, the most)."""
    shared = set.intersection(*(set(scores) for scores in clips.values()))
    return {
        name: float((np.max if name == "memory_mb" else np.mean)([c[name] for c in clips.values()]))
        for name in (*MEASURES, *COSTS)
        if name in shared
    }
