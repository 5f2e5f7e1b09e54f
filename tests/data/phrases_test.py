"""Phrases of prompts: how records draw them, and what they make of a goal."""

from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax.data.phrases import PHRASES, apply_phrases, draw_phrases, prompt_of

RNG = np.random.default_rng(0)
TRUTH = np.kron(RNG.uniform(-0.8, 0.8, (1, 1, 6, 6, 3)), np.ones((1, 1, 8, 8, 1))).astype("f")
LOW_RES = TRUTH[:, :, ::4, ::4]


def asked(*phrases, low_res=LOW_RES):
    chosen = np.array([[phrase in phrases for phrase in PHRASES]], np.float32)
    drawing = jnp.zeros_like(TRUTH)
    return np.asarray(
        apply_phrases(jnp.asarray(TRUTH), drawing, low_res, jnp.asarray(TRUTH), chosen)
    )


def sharpness(frames):
    return np.abs(np.diff(frames, axis=3)).mean()


def test_every_phrase_is_drawn_and_smooth_never_with_sharp():
    prompts = Counter(prompt_of(draw_phrases(RNG, 0.4)) for _ in range(500))
    assert 200 < prompts[""] < 400
    assert all(sum(n for p, n in prompts.items() if one in p) > 40 for one in PHRASES)
    assert not any("smooth" in prompt and "sharp" in prompt for prompt in prompts)


def test_without_phrases_the_goal_stays():
    np.testing.assert_array_equal(asked(), TRUTH)


def test_smooth_and_sharp_change_edges_alone():
    assert sharpness(asked("smooth")) < 0.95 * sharpness(TRUTH) < sharpness(TRUTH)
    assert sharpness(asked("sharp")) > 1.05 * sharpness(TRUTH)
    for phrase in ("smooth", "sharp"):
        assert asked(phrase).mean() == pytest.approx(TRUTH.mean(), abs=0.02)


def test_a_drawing_is_the_other_teachers():
    np.testing.assert_array_equal(asked("drawing"), 0)


def test_film_grain_is_the_inputs_and_no_lost_edges():
    grain = RNG.normal(0, 0.03, LOW_RES.shape).astype("f")
    kept = asked("keep film grain", low_res=LOW_RES + grain) - TRUTH
    reduced = kept.reshape(1, 1, 12, 4, 12, 4, 3).mean((3, 5))
    assert np.corrcoef(reduced.ravel(), grain.ravel())[0, 1] > 0.8
    assert np.abs(asked("keep film grain") - TRUTH).max() < 1e-6
    flat = np.zeros_like(LOW_RES)
    assert np.abs(asked("keep film grain", low_res=flat) - TRUTH).max() < 0.2
