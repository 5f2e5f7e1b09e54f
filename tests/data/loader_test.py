"""Records and batches: their form, and that order, start and seed decide everything."""

import numpy as np
import pytest

from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig, batches, make_record, photo_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("photos")
    (directory / "photos").mkdir()
    for i in range(18):
        colours = np.random.RandomState(i).randint(0, 256, (16, 16, 3), np.uint8)
        np.save(directory / "photos" / f"{i:02d}.npy", colours.repeat(8, 0).repeat(8, 1))
    return str(directory)


def config(folder, **fields):
    settings = dict(batch_size=2, frames=2, crop=32, degradation=DegradationConfig.mild())
    return DataConfig(directory=folder, **{**settings, **fields})


def test_a_batch_starts_anywhere_with_the_same_records(folder):
    straight = batches(config(folder))
    third = [next(straight) for _ in range(3)][2]
    jumped = next(batches(config(folder), start=2))
    assert third["index"].tolist() == [4, 5]
    for name, value in third.items():
        np.testing.assert_array_equal(value, jumped[name])
    assert third["target"].shape == (2, 2, 32, 32, 3)
    assert third["low_quality"].shape == (2, 2, 8, 8, 3)


def test_the_seed_changes_the_records(folder):
    a, b = (next(batches(config(folder, seed=seed)))["target"] for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_prompts_are_drawn_as_often_as_asked(folder):
    settings = config(folder, frames=1, negative_probability=0.3, empty_probability=0.2)
    files = photo_files(folder)
    prompts = [int(make_record(settings, files, i)["prompt"]) for i in range(300)]
    share = np.bincount(prompts, minlength=3) / 300
    np.testing.assert_allclose(share, [0.5, 0.3, 0.2], atol=0.08)


def test_held_out_photos_are_never_trained_on(folder):
    training, held_out = photo_files(folder), photo_files(folder, validation=True)
    assert held_out and not set(training) & set(held_out)
    assert len(training) + len(held_out) == 18


def test_an_empty_folder_says_how_to_fill_it(tmp_path):
    with pytest.raises(ValueError, match=r"no photos in .*uav_jax.data.packages"):
        photo_files(str(tmp_path))


def test_a_crop_must_fit_the_factor_four(folder):
    with pytest.raises(ValueError, match="crop 30 is not a multiple of 4"):
        config(folder, crop=30)
