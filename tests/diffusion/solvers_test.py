"""Solvers against the exact solution for Gaussian data, and against DDIM where they must agree."""

import itertools

import numpy as np
import pytest

from uav_jax.diffusion.ddim import ddim_steps
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.diffusion.solvers import plan_steps

SPREAD = 0.7
"""Deviation of the data: clean latents are normal with mean 0."""

CONFIG = ScheduleConfig(timestep_spacing="trailing")


def denoised(x, a):
    """E[x0 | x] for data of that spread."""
    return np.sqrt(a) * SPREAD**2 / (a * SPREAD**2 + 1 - a) * x


def exact(x, start, end):
    """The probability flow keeps x / deviation of x."""
    return x * np.sqrt((end * SPREAD**2 + 1 - end) / (start * SPREAD**2 + 1 - start))


def solve(steps, solver):
    x, before, history = 1.0, None, []
    a = np.append(steps.alpha, steps.alpha_previous[-1]).astype(float)
    for i, weights in enumerate(plan_steps(steps, solver)):
        clean = denoised(x, a[i])
        one, two = (history[-1:] or [clean])[0], (history[-2:] or [clean])[0]
        if weights.corrected:
            x = np.dot(weights.corrected, (before, one, two, clean))
        before, history = x, [*history, clean]
        x = np.dot(weights.following, (x, clean, one))
    return x, exact(1.0, a[0], a[-1])


def ddim(steps):
    x, a = 1.0, np.append(steps.alpha, steps.alpha_previous[-1]).astype(float)
    for i in range(len(a) - 1):
        clean = denoised(x, a[i])
        noise = (x - np.sqrt(a[i]) * clean) / np.sqrt(1 - a[i])
        x = np.sqrt(a[i + 1]) * clean + np.sqrt(1 - a[i + 1]) * noise
    return x


def test_one_step_is_ddims():
    steps = ddim_steps(CONFIG, 1)
    for solver in ("dpmpp", "unipc"):
        assert solve(steps, solver)[0] == pytest.approx(ddim(steps), rel=1e-6)


@pytest.mark.parametrize("solver", ["dpmpp", "unipc"])
def test_ten_steps_are_nearer_to_the_exact_flow_than_thirty_of_ddim(solver):
    found, truth = solve(ddim_steps(CONFIG, 10), solver)
    assert abs(found - truth) < abs(ddim(ddim_steps(CONFIG, 30)) - truth)


@pytest.mark.parametrize("solver, order", [("dpmpp", 1.6), ("unipc", 1.6)])
def test_errors_fall_with_the_square_of_the_number_of_steps(solver, order):
    errors = []
    for count in (40, 80, 160):
        found, truth = solve(ddim_steps(CONFIG, count), solver)
        errors.append(abs(found - truth))
    assert all(a / b > 2**order for a, b in itertools.pairwise(errors))
