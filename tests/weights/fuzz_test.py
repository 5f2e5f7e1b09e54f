"""Checkpoints at random: whatever a file holds, it is read or refused by ``ValueError``.

The short form runs with the suite. ``pytest -m slow -n 0 tests/weights/fuzz_test.py`` goes on for
ten minutes (``FUZZ_MINUTES``) with other examples each time.
"""

import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.parity import golden as g
from tests.weights import hostile as h
from uav_jax.metrics.lpips import load_lpips
from uav_jax.runtime.json_files import read_object
from uav_jax.weights.model_files import read_tensors
from uav_jax.weights.networks import NETWORKS

SAMPLES = g.DIRECTORY / "torch_files"
EXAMPLES = 150
MINUTES = float(os.environ.get("FUZZ_MINUTES", 10))
MOST_MEMORY = 1 << 30

CONFIGS = g.load_json("small_configs.json") | {
    "text_encoder": g.load_json("text_encoder_small.json")["config"],
    "propagator": NETWORKS["propagator"].configure({}).to_published(),
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**9, 0, -1, 32, 64, "silu", "gelu"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
BYTES = st.binary(max_size=6) | st.sampled_from(
    [b"\xff" * 4, b"\0" * 8, b"\xff\xff\xff\x7f", b"b", b"R", b"Q", b"PK\1\2", b"r\xff\xff\xff\x7f"]
)


@st.composite
def edits(draw, sample: bytes) -> bytes:
    """A sample with up to five pieces replaced, inserted, removed or repeated."""
    data = sample
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12) | st.integers(0, len(data)))
        kept = data[start : start + length] if draw(st.booleans()) else b""
        data = data[:start] + draw(BYTES) + kept + data[start + length * draw(st.booleans()) :]
    return data


ARGUMENT = st.integers(0, 2**33).map(h.number) | st.integers(-(2**40), 5).map(h.number)
SIZES = st.lists(st.integers(-3, 5) | st.sampled_from([2**31, 2**62, 2**70]), max_size=4)
PIECES = st.one_of(
    st.sampled_from([bytes([code]) for code in range(256)]),
    st.sampled_from([b")", b"}", b"]", b"(", b"t", b"u", b"e", b"s", b"a", b"R", b"b", b"Q"]),
    ARGUMENT,
    st.text(max_size=6).map(h.text),
    st.builds(lambda code, i: code + bytes([i]), st.sampled_from([b"q", b"h"]), st.integers(0, 9)),
    st.sampled_from(
        [
            h.name(*pair)
            for pair in (
                ("collections", "OrderedDict"),
                ("torch", "Size"),
                ("torch", "FloatStorage"),
                ("torch._utils", "_rebuild_parameter"),
                ("numpy", "dtype"),
                ("numpy.core.multiarray", "_reconstruct"),
            )
        ]
    ),
    st.builds(
        lambda elements, key: h.storage(elements, key), st.integers(-2, 70), st.sampled_from("01")
    ),
    st.builds(h.tensor, SIZES, SIZES, st.integers(-3, 20)),
)
PROGRAMS = st.lists(PIECES, max_size=25).map(lambda pieces: b"\x80\x02" + b"".join(pieces) + b".")
ENTRIES = st.lists(st.builds(h.tensor, SIZES, SIZES, st.integers(-3, 20)), max_size=4)
PICKLES = st.one_of(PROGRAMS, ENTRIES.map(lambda entries: h.state_dict(*entries)))


def sample_pickle() -> bytes:
    with zipfile.ZipFile(SAMPLES / "sample_zip.bin") as archive:
        return archive.read("sample_zip/data.pkl")


@st.composite
def headers(draw) -> bytes:
    """A safetensors file whose header is nearly right."""
    header, end = {}, 0
    for i in range(draw(st.integers(0, 3))):
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        last = end + 4 * int(np.prod(shape, dtype=int))
        header[f"w{i}"] = {"dtype": "F32", "shape": shape, "data_offsets": [end, last]}
        end = last
        if draw(st.booleans()):
            header[f"w{i}"][draw(st.sampled_from(["dtype", "shape", "data_offsets"]))] = draw(
                VALUES
            )
    if draw(st.booleans()):
        header[draw(st.text(max_size=4))] = draw(VALUES)
    text = json.dumps(header).encode()
    text = draw(st.just(text) | edits(text))
    length = draw(st.just(len(text)) | st.integers(0, 2**64 - 1))
    return length.to_bytes(8, "little") + text + bytes(end + draw(st.sampled_from([0, 0, 1, 4])))


@st.composite
def configs(draw) -> bytes:
    """A published configuration of which some values are others."""
    config = dict(draw(st.sampled_from(list(CONFIGS.values()))))
    for _ in range(draw(st.integers(1, 3))):
        config[draw(st.sampled_from(sorted(config)))] = draw(VALUES)
    text = json.dumps(config).encode()
    return draw(st.just(text) | edits(text))


def read_all(path: Path) -> None:
    for tensor in read_tensors(path).values():
        value = tensor.read()
        assert value.shape == tensor.shape and value.dtype == tensor.dtype
        assert value.nbytes <= 2 * path.stat().st_size
        value.tobytes()  # touches all of it


def configure_all(path: Path) -> None:
    config = read_object(path)
    for network in NETWORKS.values():
        try:
            network.configure(config)
        except ValueError as error:
            assert len(str(error).splitlines()) == 1


def as_is(suffix: str) -> Callable[[Path, bytes], Path]:
    def write(folder: Path, content: bytes) -> Path:
        (folder / f"x{suffix}").unlink(missing_ok=True)  # another inode: the last may be mapped
        (folder / f"x{suffix}").write_bytes(content)
        return folder / f"x{suffix}"

    return write


def zipped(folder: Path, pickle: bytes) -> Path:
    (folder / "x.bin").unlink(missing_ok=True)
    return h.torch_zip(folder / "x.bin", pickle, {"0": bytes(64), "1": bytes(64)})


def legacy(folder: Path, pickle: bytes) -> Path:
    (folder / "x.pth").unlink(missing_ok=True)
    keys = b"\x80\x02](" + h.text("0") + b"e."
    data = (16).to_bytes(8, "little") + bytes(64)
    return h.torch_legacy(folder / "x.pth", pickle, keys, data)


ARRAYS = b"\x80\x03}" + h.text("w") + h.name("numpy", "dtype") + h.group(h.text("f4"), b"\x89\x88")
TARGETS = {
    "pickles in a zip file": (PICKLES | edits(sample_pickle()), zipped, read_all),
    "pickles in a legacy file": (PICKLES, legacy, read_all),
    "zip files": (edits((SAMPLES / "sample_zip.bin").read_bytes()), as_is(".bin"), read_all),
    "legacy files": (edits((SAMPLES / "sample_legacy.pth").read_bytes()), as_is(".pth"), read_all),
    "safetensors files": (headers(), as_is(".safetensors"), read_all),
    "configurations": (configs(), as_is(".json"), configure_all),
    "pickles of arrays": (edits(ARRAYS + b"Rs.") | PROGRAMS, as_is(".ckpt"), load_lpips),
}


def memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(x for x in lines if x.startswith(field))
    return int(line.split()[1]) * 1024


def fuzz(target: str, folder: Path, examples: int, start: int) -> None:
    """Reads random files; the peak of this process's memory counts from here."""
    strategy, write, read = TARGETS[target]
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def check(content):
        try:
            read(write(folder, content))
        except ValueError as error:
            assert str(error).isprintable() and len(str(error)) < 1000

    check()
    assert memory("VmHWM") - before < MOST_MEMORY


@pytest.mark.parametrize("target", TARGETS)
def test_random_files_are_read_or_refused_by_value_error(target, tmp_path):
    fuzz(target, tmp_path, EXAMPLES, start=0)


@pytest.mark.slow
def test_random_files_for_ten_minutes(tmp_path):
    end, start = time.monotonic() + 60 * MINUTES, time.time_ns()
    while time.monotonic() < end:
        for target in TARGETS:
            fuzz(target, tmp_path, 1000, start)
            start += 1
