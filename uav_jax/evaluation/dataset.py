"""Data sets: truths, inputs, and the hashes that tie them together.

Inputs that a data set does not bring are made once, from a seed, and kept with a manifest of
hashes. The manifest holds the SHA-256 of the RGB bytes of every decoded clip
(``{clip: {"hr": ..., "lq_real": ...}}``); clips that differ from it are refused.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from uav_jax.evaluation.layouts import INPUTS, Source, find_sources
from uav_jax.runtime.faults import is_machine_fault
from uav_jax.runtime.files import write_text
from uav_jax.runtime.json_files import OWN_BYTES, read_object
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.read import stream_frames
from uav_jax.video.source import DEFAULT_RATE
from uav_jax.video.write import write_video

MANIFEST = "manifest.json"
KINDS = ("real", "clean")
SCALE = 4

Frame = UInt8[np.ndarray, "H W 3"]


def digest(frames: Iterable[Frame]) -> str:
    """SHA-256 of the RGB bytes."""
    total = hashlib.sha256()
    for frame in frames:
        total.update(np.ascontiguousarray(frame).data)
    return total.hexdigest()


class UnreadableClip(ValueError):
    """A file of a clip that cannot be read."""


def decoded(path: Path) -> Iterator[Frame]:
    """Reads a clip's frames one by one.

    Raises:
        UnreadableClip: Whatever the readers of media raise, with the file's name.
    """
    try:
        yield from stream_frames(path)
    except Exception as error:
        if is_machine_fault(error):
            raise
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        text = " ".join(text.split())
        raise UnreadableClip(text if str(path) in text else f"{path}: {text}") from error


@dataclass(frozen=True, slots=True)
class EvalClip:
    """A clip: its decoded input, and where its truth (4 times as large) is, if there is one."""

    name: str
    low_res: UInt8[np.ndarray, "T h w 3"]
    truth_path: Path | None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the result: (T, 4h, 4w, 3)."""
        T, h, w, _ = self.low_res.shape
        return T, SCALE * h, SCALE * w, 3

    def truth(self) -> Iterator[Frame]:
        """The truth's frames; ``ValueError`` where their number or size is not ``shape``'s."""
        assert self.truth_path is not None
        return checked(decoded(self.truth_path), self.shape, str(self.truth_path), crop=True)


def checked(
    frames: Iterable[Frame], shape: tuple[int, int, int, int], what: str, *, crop: bool = False
) -> Iterator[Frame]:
    """The frames, or ``ValueError`` where number or size is not ``shape``'s (T, H, W, 3).

    ``crop`` cuts off up to 3 rows and columns at the bottom and the right.
    """
    T, H, W, _ = shape
    count = 0
    for frame in frames:
        height, width = frame.shape[:2]
        if crop:
            height, width = (size // SCALE * SCALE for size in (height, width))
        if (height, width) != (H, W):
            raise ValueError(f"{what} is {width}x{height}, expected {W}x{H} (4 times the input)")
        if count == T:
            raise ValueError(f"{what} has more than the {T} frames of the input")
        yield frame[:H, :W]
        count += 1
    if count != T:
        raise ValueError(f"{what} has {count} frames, the input {T}")


def read_manifest(path: Path) -> dict[str, dict]:
    """Returns the hashes of a data set's clips; none without a manifest.

    Raises:
        ValueError: The manifest is damaged.
    """
    if not path.is_file():
        return {}
    try:
        entries = read_object(path, OWN_BYTES)
        for name, hashes in entries.items():
            if not isinstance(hashes, dict):
                raise ValueError(f"{path} holds a {type(hashes).__name__} for {name!r}")
    except ValueError as error:
        raise ValueError(f"{error}; remove the file, or put back the one it was") from error
    return entries


class Dataset:
    """The clips of a data set, one at a time."""

    def __init__(
        self,
        directory: Path,
        kind: str,
        *,
        layout: str | None = None,
        inputs: Path | None = None,
        seed: int = 0,
    ):
        self.directory, self.kind = directory, kind
        self._sources = find_sources(directory, kind, layout)
        self.names = list(self._sources)
        made = inputs or directory / f"{INPUTS}_{kind}_{seed}"
        self._inputs = _Inputs(made, kind, seed)
        manifest = directory / MANIFEST
        self._hashes = read_manifest(manifest)

    @property
    def without_truth(self) -> list[str]:
        """Names of clips that have none."""
        return [name for name, source in self._sources.items() if source.truth is None]

    def clip(self, name: str) -> EvalClip:
        """A clip, made if need be, and checked: size, length and hashes (``ValueError``)."""
        source = self._sources[name]
        if source.low_res is None:
            path = self._inputs.of(name, source)
        else:
            path = source.low_res
            self._check(name, f"lq_{self.kind}", path)
            if source.truth:
                self._check(name, "hr", source.truth)
        frames = list(decoded(path))
        if not frames:
            raise UnreadableClip(f"{path} holds no frame")
        return EvalClip(name, np.stack(frames), source.truth)

    def _check(self, name: str, stem: str, path: Path) -> None:
        known = self._hashes.get(name, {}).get(stem)
        if known is not None and known != digest(decoded(path)):
            raise ValueError(f"{path} is not the clip that {MANIFEST} describes; its hash differs")


class _Inputs:
    """Low-quality clips made from truths, in a folder with a manifest."""

    def __init__(self, folder: Path, kind: str, seed: int):
        self._folder, self._kind, self._seed = folder, kind, seed

    def of(self, name: str, source: Source) -> Path:
        """The input's file, made if it is not there; ``ValueError`` where anything changed."""
        assert source.truth is not None
        path, manifest = self._folder / f"{name}.mkv", self._folder / MANIFEST
        entries = read_manifest(manifest)
        truth = digest(decoded(source.truth))
        if name in entries and path.is_file():
            known = entries[name]
            for what, found, given in (
                ("hr", truth, source.truth),
                (f"lq_{self._kind}", digest(decoded(path)), path),
            ):
                if known.get(what) != found:
                    raise ValueError(
                        f"{given} is not the clip that {manifest} describes; scores against it "
                        f"would not compare. Delete {self._folder} to make new inputs"
                    )
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        frames = self._make(name, source.truth)
        write_video(path, frames, DEFAULT_RATE, output=OutputFormat(codec="ffv1"))
        entries[name] = {"hr": truth, f"lq_{self._kind}": digest(frames), "seed": self._seed}
        write_text(manifest, json.dumps(entries, indent=1) + "\n")
        return path

    def _make(self, name: str, truth_path: Path) -> np.ndarray:
        if self._kind not in KINDS:
            raise ValueError(f"kind {self._kind!r}; inputs are made of {' or '.join(KINDS)}")
        from uav_jax.data.degradation import DegradationConfig, degrade, resize

        frames = np.stack(list(decoded(truth_path)))
        _, H, W, _ = frames.shape
        h, w = H // SCALE, W // SCALE
        truth = frames[:, : SCALE * h, : SCALE * w]
        if self._kind == "clean":
            return resize(truth, w, h, Image.Resampling.BICUBIC)
        words = np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint32)
        rng = np.random.default_rng([self._seed, *words.tolist()])
        return degrade(truth, DegradationConfig(), rng)
