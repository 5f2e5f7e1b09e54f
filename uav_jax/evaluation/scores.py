"""The scores of one clip, and their means."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from uav_jax.evaluation.dataset import EvalClip
from uav_jax.metrics.consistency import TruthMotion, truth_motion, warping_error
from uav_jax.metrics.fidelity import luma_psnr, psnr, ssim
from uav_jax.metrics.lpips import LPIPSWeights, installed_lpips, load_lpips, lpips

MEASURES = {
    "psnr_rgb": "PSNR, RGB (dB)",
    "psnr_y": "PSNR, luma (dB)",
    "ssim_rgb": "SSIM, RGB",
    "lpips_alex": "LPIPS, AlexNet",
    "ewarp": "E*warp (1000x)",
}

Scores = dict[str, float]


@dataclass(slots=True)
class Scorer:
    """Scores clips; what can be shared between methods is computed once a clip."""

    weights: LPIPSWeights | None

    @classmethod
    def installed(cls) -> "Scorer":
        """With the LPIPS weights of the ``eval`` extra, or without LPIPS where they are absent."""
        path = installed_lpips("alexnet")
        return cls(load_lpips(path) if path else None)

    def motion(self, clip: EvalClip) -> TruthMotion | None:
        """The truth's motion; None for a single frame."""
        return truth_motion(clip.truth) if len(clip.truth) > 1 else None

    def score(self, frames: np.ndarray, clip: EvalClip, motion: TruthMotion | None) -> Scores:
        """Means over the frames of a result, uint8 in the truth's shape."""
        values = {
            "psnr_rgb": psnr(frames, clip.truth).mean(),
            "psnr_y": luma_psnr(frames, clip.truth).mean(),
            "ssim_rgb": ssim(frames, clip.truth).mean(),
        }
        if self.weights is not None:
            pairs = zip(frames, clip.truth, strict=True)
            values["lpips_alex"] = np.mean([_lpips(self.weights, a, b) for a, b in pairs])
        if motion is not None:
            values["ewarp"] = warping_error(frames, motion).mean()
        return {name: float(value) for name, value in values.items()}


@jax.jit
def _lpips(weights: LPIPSWeights, a: jax.Array, b: jax.Array) -> jax.Array:
    x, y = (v[None].astype(jnp.float32) / 127.5 - 1 for v in (a, b))
    return lpips(weights, x, y)[0]


def mean_scores(clips: dict[str, Scores]) -> Scores:
    """The mean over clips of every measure that all of them have."""
    shared = set.intersection(*(set(scores) for scores in clips.values()))
    return {
        name: float(np.mean([scores[name] for scores in clips.values()]))
        for name in MEASURES
        if name in shared
    }
