"""Data sets: ``DATA/<clip>/hr.*`` (truth) beside ``lq_<kind>.*``, a video or a folder of frames.

``DATA/manifest.json``, where there is one, holds the SHA-256 of the RGB bytes of every decoded clip
(``{clip: {"hr": ..., "lq_real": ...}}``); clips that differ are refused.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uav_jax.io.frames import read_frames
from uav_jax.io.video import read_video

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class EvalClip:
    """A clip's name and decoded frames, uint8 ``(T, H, W, 3)``; the truth is 4 times as large."""

    name: str
    low_res: np.ndarray
    truth: np.ndarray


def read_clip(path: Path) -> np.ndarray:
    """The frames of a video file or of a folder of images."""
    return (read_frames(path) if path.is_dir() else read_video(path)).frames


def find_clip(folder: Path, stem: str) -> Path:
    """The one file or folder of that stem; ``ValueError`` if there is none, or several."""
    found = sorted(p for p in folder.glob(f"{stem}*") if p.stem == stem and p.suffix != ".txt")
    if len(found) != 1:
        what = "nothing" if not found else ", ".join(p.name for p in found)
        raise ValueError(f"{folder} should hold one {stem}.* or folder {stem}, but holds {what}")
    return found[0]


def digest(frames: np.ndarray) -> str:
    """SHA-256 of the RGB bytes."""
    return hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()


class Dataset:
    """The clips of a data set, decoded one at a time."""

    def __init__(self, directory: Path, kind: str):
        if not directory.is_dir():
            raise ValueError(f"{directory} is no directory")
        self.directory, self.kind = directory, kind
        folders = sorted(p for p in directory.iterdir() if p.is_dir())
        self.names = [p.name for p in folders if any(p.glob(f"lq_{kind}*"))]
        if not self.names:
            raise ValueError(f"{directory} holds no input of kind {kind!r}: <clip>/lq_{kind}.*")
        manifest = directory / MANIFEST
        self._hashes = json.loads(manifest.read_text()) if manifest.is_file() else {}

    def clip(self, name: str) -> EvalClip:
        """A clip, checked: sizes, lengths and the manifest's hashes (``ValueError``)."""
        folder = self.directory / name
        frames = {stem: read_clip(find_clip(folder, stem)) for stem in (f"lq_{self.kind}", "hr")}
        for stem, value in frames.items():
            known = self._hashes.get(name, {}).get(stem)
            if known is not None and known != digest(value):
                raise ValueError(f"{folder}/{stem} is not the clip that {MANIFEST} describes")
        low_res, truth = frames.values()
        T, H, W, _ = low_res.shape
        if truth.shape[:3] != (T, 4 * H, 4 * W):
            raise ValueError(f"{folder}: truth {truth.shape[:3]} for {low_res.shape[:3]}, not 4x")
        return EvalClip(name, low_res, truth)
