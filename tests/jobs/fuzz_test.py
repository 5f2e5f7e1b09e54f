"""Damaged containers: whatever the bytes, a clear error or a clip, never a crash or a hang.

A few hundred files here; ten minutes of them (``UAV_FUZZ_SECONDS``) with
``pytest -m slow -n 0 tests/jobs/fuzz_test.py``.
"""

import os
import time

import numpy as np
import pytest

from tests.clips import make_video, smooth_frames
from tests.video.bombs import gif, many_samples, tiff, vp8, webp
from uav_jax.video.probe import probe

SECONDS = float(os.environ.get("UAV_FUZZ_SECONDS", "600"))
SLOWEST = 20.0
"""Seconds that one file of a few kilobytes may take."""


AWKWARD = ("joined.ts", "interlaced.mpg", "flags.mkv", "null_frames.avi", "edit.mp4")
AWKWARD += ("ten_bit.mkv", "mirrored.mp4", "sub_text.mp4", "exif.jpg", "photo.png", "alpha.png")
"""Of the awkward files, those that are damaged as well."""


SMALL = {
    "gif": lambda path: gif(40, 30),
    "webp": lambda path: webp(16),
    "tif": lambda path: tiff(16, 16, pages=3),
    "webm": lambda path: vp8(path, 32, 32, 64),
    "mov": many_samples,
}
"""The files of `tests/video/bombs.py`, most of them with harmless sizes."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory, cases):
    folder = tmp_path_factory.mktemp("originals")
    rng = np.random.RandomState(0)
    noise = rng.randint(0, 256, (6, 32, 32, 3), np.uint8)
    made = []
    for kind in ("mp4", "mkv", "mov", "avi"):
        frames = noise if kind == "mkv" else smooth_frames(6, 32, 32)
        path = make_video(folder / f"a.{kind}", frames, range(6), audio=kind != "avi")
        made.append((kind, path.read_bytes()))
    for kind, make in SMALL.items():
        made.append((kind, make(folder / f"small.{kind}")))
    return made + [(name.rpartition(".")[2], (cases / name).read_bytes()) for name in AWKWARD]


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut out, repeated, or the end missing."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        at, length = int(rng.integers(len(out))), int(rng.integers(1, 40))
        match int(rng.integers(5)):
            case 0:
                out[at : at + length] = rng.integers(0, 256, length, np.uint8).tobytes()
            case 1:
                del out[at : at + length]
            case 2:
                out[at:at] = out[at : at + length]
            case 3:
                out[at] ^= 1 << int(rng.integers(8))
            case 4:
                del out[at:]
        out = out or bytearray(b"\0")
    return bytes(out)


def attempt(folder, kind: str, data: bytes) -> bool:
    """Whether the file was read; it may also be refused with ``ValueError``, in bounded time."""
    path = folder / f"damaged.{kind}"
    path.write_bytes(data)
    started = time.monotonic()
    try:
        info = probe(path)
        assert info.frames == len(list(info.stream()))
        read = True
    except ValueError:
        read = False
    assert time.monotonic() - started < SLOWEST
    assert [p.name for p in folder.iterdir()] == [path.name]
    path.unlink()
    return read


def run(originals, folder, enough) -> list[bool]:
    read, seed = [], 0
    while not enough(seed):
        rng = np.random.default_rng(seed)
        kind, data = originals[seed % len(originals)]
        read.append(attempt(folder, kind, damaged(data, rng)))
        seed += 1
    return read


def test_a_few_hundred_damaged_files_are_read_or_refused(originals, tmp_path):
    read = run(originals, tmp_path, lambda seed: seed >= 300)
    assert 0 < sum(read) < len(read)


@pytest.mark.slow
def test_damaged_files_for_ten_minutes(originals, tmp_path):
    end = time.monotonic() + SECONDS
    assert run(originals, tmp_path, lambda seed: time.monotonic() > end)
