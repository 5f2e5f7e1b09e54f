"""Records and batches: their form, and that order, start and seed decide everything."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from uav_jax.data.clips import places
from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig, Unusable, batches, make_record
from uav_jax.data.preview import main


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


def lengths(prompt):
    """A tokenizer that counts characters."""
    return np.full(77, len(prompt), np.int32)


def test_a_batch_starts_anywhere_with_the_same_records(folder):
    straight = batches(config(folder), lengths)
    third = [next(straight) for _ in range(3)][2]
    jumped = next(batches(config(folder), lengths, start=2))
    assert third["index"].tolist() == [4, 5]
    for name, value in third.items():
        np.testing.assert_array_equal(value, jumped[name])
    assert third["target"].shape == (2, 2, 32, 32, 3)
    assert third["low_quality"].shape == (2, 2, 8, 8, 3)
    assert third["tokens"].shape == (2, 77)
    assert "tokens" not in next(batches(config(folder)))


def test_worker_processes_make_the_same_batches(folder):
    one, two = (batches(config(folder, workers=n), lengths, start=3) for n in (0, 2))
    for _ in range(4):
        expected, made = next(one), next(two)
        for name, value in expected.items():
            np.testing.assert_array_equal(made[name], value)


def test_shares_of_two_hosts_make_up_the_batch_of_one(folder):
    settings = config(folder, batch_size=4)
    whole = next(batches(settings, start=1))
    parts = [next(batches(settings, start=1, share=(i, 2))) for i in range(2)]
    for name, value in whole.items():
        np.testing.assert_array_equal(value, np.concatenate([part[name] for part in parts]))


def test_the_seed_changes_the_records(folder):
    a, b = (next(batches(config(folder, seed=seed)))["target"] for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_frames_before_a_clip_are_degraded_with_it_and_left_out(folder):
    clean = DegradationConfig(clean_probability=1.0)
    settings = config(folder, frames=2, lead=5, degradation=clean)
    collection = places("photos", folder)
    for index in range(6):
        record = make_record(settings, collection, index, Unusable(0))
        assert record["target"].shape == (2, 32, 32, 3)
        for frame, reduced in zip(record["target"], record["low_quality"], strict=True):
            same = Image.fromarray(frame).resize((8, 8), Image.Resampling.BICUBIC)
            np.testing.assert_array_equal(same, reduced)


def test_after_a_lead_compression_leaves_less(folder):
    """The frames that follow a coded video's first one are coded worse."""
    plain = replace(DegradationConfig.mild().first, blur_probability=0, noise_probability=0)
    plain = replace(plain, jpeg_probability=0, resize=(0, 0, 1))
    coded = DegradationConfig(
        first=plain,
        second_probability=0,
        video_crf=(30, 30),
        mpeg4_probability=0,
        final_sinc_probability=0,
    )
    collection = places("photos", folder)
    errors = []
    for lead in (0, 8):
        settings = config(folder, frames=1, lead=lead, crop=64, degradation=coded)
        records = [make_record(settings, collection, i, Unusable(0)) for i in range(20)]
        reduced = [np.asarray(Image.fromarray(r["target"][0]).resize((16, 16))) for r in records]
        differences = [
            np.abs(r["low_quality"][0].astype(float) - x)
            for r, x in zip(records, reduced, strict=True)
        ]
        errors.append(np.mean(differences))
    assert errors[1] > errors[0]


def test_prompts_are_drawn_as_often_as_asked(folder):
    settings = config(folder, frames=1, negative_probability=0.3, empty_probability=0.2)
    collection = places("photos", folder)
    prompts = [make_record(settings, collection, i, Unusable(0))["prompt"] for i in range(300)]
    kinds = (settings.added_prompt, settings.negative_prompt, "")
    share = [prompts.count(kind) / 300 for kind in kinds]
    np.testing.assert_allclose(share, [0.5, 0.3, 0.2], atol=0.08)


def test_damaged_clips_are_passed_over_until_there_are_too_many(tmp_path, caplog):
    for i in range(8):
        (tmp_path / f"{i}").mkdir()
        for t in range(2):
            Image.new("RGB", (40, 40), (i, 0, 0)).save(tmp_path / f"{i}" / f"{t}.png")
    for i in (1, 2):
        (tmp_path / f"{i}" / "0.png").write_bytes(b"damaged")
    settings = config(str(tmp_path), kind="frames")
    collection = places("frames", str(tmp_path))
    unusable = Unusable(2)
    seen = {make_record(settings, collection, i, unusable)["target"].max() for i in range(40)}
    assert seen == {0, 3, 4, 5, 6}  # 7 is held out
    named = [record.getMessage() for record in caplog.records]
    assert len(named) == 2 and all("cannot be read as an image" in line for line in named)
    strict = Unusable(1)
    with pytest.raises(ValueError, match="2 clips could not be used, more than 1"):
        for i in range(40):
            make_record(settings, collection, i, strict)


def test_a_collection_without_a_usable_clip_is_an_error_and_not_a_loop(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 40)).save(tmp_path / name / "0.png")  # one image, two needed
    settings = config(str(tmp_path), kind="frames")
    with pytest.raises(ValueError, match=r"none of 2 clips can be used.*holds 1 images of 2"):
        make_record(settings, places("frames", str(tmp_path)), 0, Unusable(100))


def test_an_empty_folder_says_how_to_fill_it(tmp_path):
    with pytest.raises(ValueError, match=r"no photos in .*uav_jax.data.packages"):
        batches(config(str(tmp_path)))


def test_a_crop_must_fit_the_factor_four(folder):
    with pytest.raises(ValueError, match="crop 30 is not a multiple of 4"):
        config(folder, crop=30)


def test_a_contact_sheet_shows_every_record(folder, tmp_path, capsys):
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "from types import SimpleNamespace\n"
        "from uav_jax.data.loader import DataConfig\n"
        f"def config(): return SimpleNamespace(data=DataConfig(directory={folder!r}, "
        "batch_size=1, frames=2, crop=32))\n"
    )
    assert main([str(recipe), "-o", str(tmp_path / "sheet.png"), "--records", "3"]) == 0
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (3 * (32 + 16), 4 * 32, 3)
    record = make_record(config(folder), places("photos", folder), 1, Unusable(0))
    np.testing.assert_array_equal(sheet[64:96, :32], record["target"][0])
    assert main([str(tmp_path / "none.py")]) == 2
    assert "none.py does not exist" in capsys.readouterr().err
