"""Damaged records of data sets: each is named and passed over, whatever its reader raises."""

import errno
import json
import logging
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.clips_test import cut, write_video
from tests.data.tfds_test import PACKED
from uav_jax.data import clips, loader, teacher_targets
from uav_jax.data.loader import DataConfig, make_record
from uav_jax.data.tfds import reader
from uav_jax.data.unusable import Unusable, UnusableClip

ERRORS = (AttributeError("x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), KeyError("x"))
ERRORS += (Image.DecompressionBombError("x"), TypeError("x"), MemoryError(), RuntimeError("x"))


def raising(error):
    def read(*_, **__):
        raise error

    return read


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_whatever_a_reader_raises_makes_one_clip_unusable(error, tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr(clips, "read_clip", raising(error))
    monkeypatch.setattr(clips, "stream_frames", raising(error))
    monkeypatch.setattr(clips, "read_picture", raising(error))
    for place in (clips.VideoFile(tmp_path / "a.mp4"), clips.FrameFolder(tmp_path)):
        for work in (lambda p=place: cut(p, frames=1), lambda p=place: list(p.stream())):
            with pytest.raises(UnusableClip) as raised:
                work()
            assert place.name in str(raised.value) and type(error).__name__ in str(raised.value)


def record_of(collection, unusable, **values):
    config = DataConfig(directory="", batch_size=1, crop=32, low_quality=False, **values)
    return make_record(config, collection, 0, unusable)


class Failing:
    """A place of another kind, whose reader raises what nobody expected."""

    name = "other"

    def cut(self, *_):
        raise ZeroDivisionError("x")


def test_an_unexpected_error_of_any_place_is_passed_over_and_counted(tmp_path, caplog):
    write_video(tmp_path / "a.mp4")
    places = [Failing(), clips.VideoFile(tmp_path / "a.mp4")]
    for seed in range(8):
        unusable = Unusable(3)
        assert record_of(places, unusable, seed=seed, kind="videos")["target"].shape[0] == 1
    assert "skipped 1 clip(s) so far: other cannot be read: ZeroDivisionError: x" in caplog.text
    with pytest.raises(ValueError, match="none of 1 clips can be used, the last because: other"):
        record_of([Failing()], Unusable(3), kind="videos")


def test_a_caption_in_another_encoding_is_read_and_a_huge_one_is_not(tmp_path):
    write_video(tmp_path / "a.mp4")
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    place = clips.VideoFile(tmp_path / "a.mp4")
    assert cut(place)[1] == "café"
    (tmp_path / "a.txt").write_bytes(b"x" * (1 << 21))
    with pytest.raises(UnusableClip, match="expected a short text"):
        cut(place)
    (tmp_path / "a.txt").unlink()
    os.mkfifo(tmp_path / "a.txt")
    assert cut(place)[1] == ""


def test_pipes_are_not_opened(tmp_path):
    for name in ("a.mp4", "a.png", "a.csv", "train-00000.npz", "a.npy"):
        os.mkfifo(tmp_path / name)
    for place in (clips.VideoFile(tmp_path / "a.mp4"), clips.FrameFolder(tmp_path)):
        with pytest.raises(UnusableClip, match="is a FIFO"):
            cut(place, frames=1)
    with pytest.raises(ValueError, match=r"a\.csv is a FIFO"):
        clips.webvid(tmp_path)
    with pytest.raises(UnusableClip, match="npz is a FIFO"):
        teacher_targets.find_shards(tmp_path, "train").record(np.random.default_rng(0), 1, 8)
    with pytest.raises(UnusableClip, match="npy is a FIFO"):
        clips.Album((tmp_path / "a.npy",)).region(np.random.default_rng(0), 8)
    with pytest.raises(ValueError, match="is a FIFO"):
        reader.check_features(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b'videoid,name\n1,"' + b"x" * 200_000 + b'"\n'])
def test_a_damaged_table_is_named(tmp_path, content):
    (tmp_path / "1.mp4").touch()
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.csv"):
        clips.webvid(tmp_path)


def test_a_row_without_a_caption_has_an_empty_one(tmp_path):
    (tmp_path / "1.mp4").touch()
    (tmp_path / "a.csv").write_text("videoid,name\n1\n")
    assert clips.webvid(tmp_path)[0].text() == ""


PHOTO = np.zeros((400, 400, 3), np.uint8)


def test_damaged_photographs_of_an_album_are_passed_over_by_name(tmp_path, caplog):
    np.save(tmp_path / "good.npy", PHOTO)
    np.save(tmp_path / "flat.npy", PHOTO[..., 0])
    np.save(tmp_path / "object.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:-9])
    (tmp_path / "text.npy").write_bytes(b"no array")
    album = clips.Album(tuple(sorted(tmp_path.glob("*.npy"))))
    unusable = Unusable(10)
    for seed in range(20):
        record_of([album], unusable, seed=seed)
    for name in ("flat", "object", "cut", "text"):
        assert f"{name}.npy" in caplog.text
    bad = clips.Album((tmp_path / "cut.npy", tmp_path / "text.npy"))
    with pytest.raises(ValueError, match="none of 2 clips can be used"):
        record_of([bad], Unusable(10))
    with pytest.raises(ValueError, match="none of 2 clips can be used"):
        record_of([bad], Unusable(10), kind="flow")


def test_damaged_shards_are_passed_over_by_name(tmp_path, caplog):
    arrays = {
        "low_quality": np.zeros((2, 2, 8, 8, 3), np.uint8),
        "target": np.zeros((2, 2, 32, 32, 3), np.uint8),
        "teacher": np.zeros((2, 2, 32, 32, 3), np.uint8),
        "drawing": np.zeros((2, 2, 32, 32, 3), np.uint8),
        "motion": np.zeros((2, 1, 2, 3), np.float32),
    }
    np.savez(tmp_path / "train-00000.npz", **arrays)
    np.savez(tmp_path / "train-00001.npz", **arrays | {"motion": arrays["motion"][:1]})
    whole = (tmp_path / "train-00000.npz").read_bytes()
    (tmp_path / "train-00002.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train-00003.npz").write_bytes(b"")
    shards, unusable = teacher_targets.find_shards(tmp_path, "train"), Unusable(10)
    for seed in range(20):
        made = record_of([shards], unusable, seed=seed, kind="teacher_targets", frames=2)
        assert made["target"].shape == (2, 32, 32, 3)
    for number in (1, 2, 3):
        assert f"train-0000{number}.npz" in caplog.text
    with pytest.raises(ValueError, match="3 frames of 32x32 cannot be cut from them"):
        record_of([shards], unusable, kind="teacher_targets", frames=3)


def test_a_place_that_fails_now_and_then_is_given_up_at_last(monkeypatch):
    monkeypatch.setattr(loader, "MOST_ATTEMPTS", 5)
    with pytest.raises(ValueError, match="5 clips in a row could not be used"):
        record_of([Failing(), Failing()], Unusable(3), kind="videos")


@pytest.fixture
def packed(tmp_path):
    """A copy of the packed clips, to be damaged."""
    return Path(shutil.copytree(PACKED, tmp_path / "packed"))


@pytest.mark.parametrize("name", ["pythonClassName", "type"])
def test_features_cannot_import_modules(packed, tmp_path, monkeypatch, name):
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    features = json.loads((packed / "features.json").read_text())
    features["featuresDict"]["features"]["caption"] = {name: "evil_module.Text", "content": "{}"}
    (packed / "features.json").write_text(json.dumps(features))
    with pytest.raises(ValueError, match=r"features.json names 'evil_module.Text'; expected one"):
        clips.places("tfds", str(packed))
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"a": NaN}', "[" * 100_000])
def test_damaged_descriptions_of_a_dataset_are_one_line(packed, name, content):
    (packed / name).write_text(content)
    with pytest.raises(ValueError) as error:
        clips.places("tfds", str(packed))
    assert len(str(error.value).splitlines()) == 1


def test_records_that_cannot_be_decoded_are_unusable():
    class Records:
        def __getitem__(self, index):
            raise RuntimeError("riegeli")

    with pytest.raises(UnusableClip, match="record 0 cannot be read: RuntimeError: riegeli"):
        cut(reader.PackedClip(Records(), 0, "x"))
    for data in (b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"):
        place = reader.PackedClip([{"frames": [data], "caption": b""}], 0, "x")
        with pytest.raises(UnusableClip, match="x record 0 cannot be read as an image"):
            cut(place, frames=1)


def test_warnings_name_the_file(tmp_path, caplog):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    write_video(tmp_path / "whole.mp4")
    places = [clips.VideoFile(tmp_path / n) for n in ("broken.mp4", "whole.mp4")]
    with caplog.at_level(logging.WARNING):
        unusable = Unusable(5)
        for seed in range(6):
            record_of(places, unusable, seed=seed, kind="videos")
    assert caplog.text.count("broken.mp4 cannot be read as a video") == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ESTALE, errno.EIO])
def test_a_fault_of_the_machine_ends_the_run_instead_of_changing_its_records(number, tmp_path):
    write_video(tmp_path / "a.mp4")

    class Lost(Failing):
        def cut(self, *_):
            raise OSError(number, "of the machine")

    class LostBehindAReader(Failing):
        def cut(self, *_):
            try:
                Lost().cut()
            except OSError as error:
                raise ValueError("cannot be read") from error

    with pytest.raises(ValueError, match=r"^cannot be read$"):
        record_of([LostBehindAReader()], Unusable(3), kind="videos")
    places = [Lost(), clips.VideoFile(tmp_path / "a.mp4")]
    with pytest.raises(OSError, match="of the machine"):
        for seed in range(8):
            record_of(places, Unusable(3), seed=seed, kind="videos")
