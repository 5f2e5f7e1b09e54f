"""Multistep solvers of the probability flow in data prediction: fewer steps for the same result.

With lambda = log(sqrt(a) / sqrt(1 - a)), h = lambda_t - lambda_s and D the predicted clean latents,

    x_t = (sigma_t / sigma_s) x_s - alpha_t (e^{-h} - 1) (D_s + (D_s - D_{s-1}) / (2 r))     (1)

is DPM-Solver++(2M) (Lu et al., 2022, algorithm 2), r = h_{s-1} / h. UniPC (Zhao et al., NeurIPS
2023, B(h) = e^h - 1, order 2) predicts likewise and corrects x_t once D_t is known, at no cost:

    x_t = (sigma_t / sigma_s) x_s - alpha_t (e^{-h} - 1) (D_s + C)                           (2)
    C   = c_1 (D_s - D_{s-1}) / r + c_2 (D_t - D_s)                                          (3)

Every step is a weighted sum of latents, so a plan of weights is all that a solver is. The last step
of a short run is of first order.
"""

from typing import Literal, NamedTuple

import numpy as np

from uav_jax.diffusion.ddim import DDIMSteps

Solver = Literal["ddim", "dpmpp", "unipc"]
SOLVERS = ("ddim", "dpmpp", "unipc")

SHORT = 15
"""Steps below which the last is of first order, which is steadier there."""


class StepWeights(NamedTuple):
    """Of x, D and D of the step before, for the next x; and of the corrected x where there is one.

    ``corrected`` weighs, in this order: x and D of the step before, D of two before, D now.
    """

    following: tuple[float, float, float]
    corrected: tuple[float, float, float, float] | None


def _second_order(h: float, before: float) -> float:
    """1 / (2 r)."""
    return 0.5 * h / before


def _correction(h: float, before: float | None) -> tuple[float, float]:
    """c_1 and c_2 of equation (3): they make it exact for D that is linear in lambda."""
    negative = -h
    phi = np.expm1(negative) / negative - 1  # of order 1, times h and over h
    first = phi / np.expm1(negative)
    if before is None:
        return 0.0, 0.5
    phi = phi / negative - 0.5
    second = 2 * phi / np.expm1(negative)
    r = -before / h
    weights = np.linalg.solve(np.array([[1.0, 1.0], [r, 1.0]]), np.array([first, second]))
    return float(weights[0]), float(weights[1])


def plan_steps(steps: DDIMSteps, solver: Solver) -> list[StepWeights]:
    """The weights of every step of a multistep solver."""
    a = np.append(steps.alpha, steps.alpha_previous[-1]).astype(np.float64)
    alpha, sigma = np.sqrt(a), np.sqrt(1 - a)
    level = np.log(alpha / np.maximum(sigma, 1e-12))
    h, count = np.diff(level), len(steps.timesteps)
    found = []
    for i in range(count):
        keep, gain = sigma[i + 1] / sigma[i], -alpha[i + 1] * np.expm1(-h[i])
        first_order = i == 0 or (i == count - 1 and count < SHORT)
        slope = 0.0 if first_order else _second_order(h[i], h[i - 1])
        following = (float(keep), float(gain * (1 + slope)), float(-gain * slope))
        corrected = None
        if solver == "unipc" and i > 0:
            before = h[i - 2] if i > 1 else None
            c1, c2 = _correction(h[i - 1], before)
            r = -before / h[i - 1] if before is not None else 1.0
            keep, gain = sigma[i] / sigma[i - 1], -alpha[i] * np.expm1(-h[i - 1])
            corrected = (
                float(keep),
                float(gain * (1 - c1 / r - c2)),
                float(gain * c1 / r),
                float(gain * c2),
            )
        found.append(StepWeights(following, corrected))
    return found
