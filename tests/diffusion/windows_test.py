"""Window plans against the published order, walked literally."""

import numpy as np
import pytest

from uav_jax.diffusion.windows import plan_windows


def published_average(frames: int, values: dict[int, float]) -> np.ndarray:
    """Walks the published order; ``values`` gives each window's prediction by its first frame."""
    result, seen = np.zeros(frames), np.zeros(frames, bool)
    for start in range(0, frames, 6):
        start = min(start, frames - 8)
        for t in range(start, start + 8):
            new = values[start]
            result[t] = 0.5 * result[t] + 0.5 * new if seen[t] else new
            seen[t] = True
    return result


@pytest.mark.parametrize("frames", [9, 10, 13, 14, 15, 16, 19, 20, 32, 47, 48])
def test_merge_weights_equal_the_published_averaging(frames):
    plan = plan_windows(frames)
    assert len(set(plan.starts)) == len(plan.starts)
    values = {start: float(i * i + 1) for i, start in enumerate(plan.starts)}
    ours = np.array([values[s] for s in plan.starts]) @ plan.weights
    assert np.allclose(ours, published_average(frames, values), rtol=1e-6)
    assert np.allclose(plan.weights.sum(0), 1)


def test_duplicate_windows_are_computed_once():
    assert len(range(0, 32, 6)) == 6
    assert len(plan_windows(32).starts) == 5


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_short_clips_are_one_window(frames):
    plan = plan_windows(frames)
    assert plan.starts == (0,) and plan.length == frames


def test_no_frames_are_refused():
    with pytest.raises(ValueError, match="0 frames"):
        plan_windows(0)


@pytest.mark.parametrize("frames", [5, 8, 9, 20, 32, 50])
def test_a_stretch_has_the_weights_of_the_whole_clip(frames):
    whole = np.zeros((frames, frames))  # by (first frame of the window, frame)
    plan = plan_windows(frames)
    whole[list(plan.starts)] = plan.weights
    for start in range(0, frames, 6):
        stop = min(start + 6, frames)
        part = plan_windows(frames, start, stop)
        found = np.zeros((frames, frames))
        last = part.first + part.weights.shape[1]
        found[[part.first + s for s in part.starts], part.first : last] = part.weights
        assert np.allclose(found[:, start:stop], whole[:, start:stop])
        wider = plan_windows(frames, start, stop, margin=1)
        assert wider.first <= part.first and len(wider.starts) >= len(part.starts)
