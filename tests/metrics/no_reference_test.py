"""Scores from pyiqa: how it is called, and what is said where it or its weights are missing."""

import sys
import types

import numpy as np
import pytest

from uav_jax.metrics.no_reference import MissingScore, load_score


def stand_in(create_metric):
    module = types.ModuleType("pyiqa")
    module.create_metric = create_metric
    return module


def test_frames_reach_the_package_as_images_and_numbers_come_back(monkeypatch):
    asked = []

    def create_metric(name, device):
        asked.append((name, device))
        return lambda image: np.asarray(image).mean() / 255

    monkeypatch.setitem(sys.modules, "pyiqa", stand_in(create_metric))
    score = load_score("musiq")
    assert asked == [("musiq", "cpu")]
    assert score(np.full((4, 6, 3), 51, np.uint8)) == pytest.approx(0.2)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(MissingScore, match=r'clipiqa needs pyiqa: install the extra "noref"'):
        load_score("clipiqa")


def test_missing_weights_say_where_they_belong(monkeypatch):
    def create_metric(name, device):
        raise OSError("no route to host")

    monkeypatch.setitem(sys.modules, "pyiqa", stand_in(create_metric))
    with pytest.raises(MissingScore, match=r"no weights .* \(no route to host\); put them into"):
        load_score("musiq")
