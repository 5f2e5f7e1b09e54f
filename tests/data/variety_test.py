"""Photographs made more varied: what changes, and what must not."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from uav_jax.data.clips import Album, places
from uav_jax.data.variety import VarietyConfig, drawn_upon, varied

PLAIN = VarietyConfig(drawing_probability=0.0, tint=0.0)


def generators(count=12):
    return [np.random.default_rng(seed) for seed in range(count)]


@pytest.fixture
def album(tmp_path):
    """One photograph of noise, 240 x 320."""
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        noise = np.random.default_rng(0).integers(60, 190, (240, 320, 3), dtype=np.uint8)
        np.save(tmp_path / "photos" / f"{name}.npy", noise)
    return tmp_path


def test_drawings_cover_a_part_with_smooth_edges():
    grey = Image.new("RGB", (96, 80), (128, 128, 128))
    changed, colours = [], []
    for rng in generators():
        image = drawn_upon(grey, rng)
        assert image.size == grey.size and image.mode == "RGB"
        pixels = np.asarray(image)
        changed.append((pixels != 128).any(-1).mean())
        colours.append(len(np.unique(pixels.reshape(-1, 3), axis=0)))
    assert 0.05 < np.mean(changed) < 0.95
    assert np.median(colours) > 20, "edges without steps in between"


def test_an_image_is_only_turned_unless_graded():
    photo = np.random.default_rng(1).integers(60, 190, (40, 40, 3), dtype=np.uint8)
    kept, contrasts = 0, []
    for rng in generators(40):
        image = np.asarray(varied(Image.fromarray(photo), PLAIN, rng))
        same = np.array_equal(np.sort(image, axis=None), np.sort(photo, axis=None))
        kept += same
        if not same:
            contrasts.append(image.std() / photo.std())
    assert 10 < kept < 30
    assert min(contrasts) < 0.95 and max(contrasts) > 1.2


def test_clips_vary_and_depend_on_the_generator_alone(album):
    (album,) = places("photos", str(album), variety=VarietyConfig())
    first, again = (album.cut(np.random.default_rng(3), 3, 48)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 48, 48, 3) and first.dtype == np.uint8
    plain, _ = replace(album, variety=None).cut(np.random.default_rng(3), 3, 48)
    assert not np.array_equal(first, plain)


def test_photos_are_reduced_where_they_are_large_enough(album):
    paths = tuple(sorted((album / "photos").glob("*.npy")))

    def deviation(variety, size):
        parts = [Album(paths, variety).region(rng, size) for rng in generators(20)]
        assert all(abs(side - size) <= 1 for part in parts for side in part.size)
        return np.array([np.asarray(part, float).std() for part in parts])

    whole = deviation(None, 80).mean()
    assert deviation(PLAIN, 80).min() < 0.7 * whole, "white noise fades with the size"
    np.testing.assert_allclose(deviation(PLAIN, 240), whole, rtol=0.02)


def test_the_more_detailed_part_is_taken_as_often_as_asked(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, spread in (("flat", 2), ("rough", 60)):
        noise = np.random.default_rng(0).integers(128 - spread, 128 + spread, (200, 200, 3))
        np.save(tmp_path / "photos" / f"{name}.npy", noise.astype(np.uint8))
    rough = []
    for often in (0.0, 1.0):
        variety = replace(PLAIN, contrast=(1.0, 1.0), detailed_probability=often)
        (album,) = places("photos", str(tmp_path), variety=variety)
        clips = [album.cut(rng, 1, 32)[0] for rng in generators(40)]
        rough.append(np.mean([clip.std() > 10 for clip in clips]))
    assert 0.25 < rough[0] < 0.7, "a part of either photograph"
    assert rough[1] > rough[0] + 0.1
