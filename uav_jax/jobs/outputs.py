"""Every path that a run writes, decided before anything is computed.

A path may be written if nothing is there, if this program made what is there (its record or journal
lists it) and it may be replaced, or if it is the one file that the user named and asked to replace.
Sources are never written to. No other module of `jobs` renames or removes anything.
"""

import os
import shutil
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from uav_jax.runtime.files import LONGEST_NAME, remove_own_file, write_text
from uav_jax.runtime.json_files import OWN_BYTES, read_object
from uav_jax.video.containers import shown

ROOM = 15
"""Bytes that a result's name leaves for those of its record and of files being written."""

UNFINISHED = "unfinished"
"""Entry of a record whose files are just getting their names."""

FRAMES_MARKER = ".uav_jax"
"""File in a folder of frames that says that this program made it, and how many frames."""

MARKER_BYTES = 32
"""A marker holds one number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """What one source becomes. `named`: the user gave the file's name."""

    target: Path  # a video, a picture, or a folder of frames
    frames: Path | None = None  # a folder of frames beside it
    comparison: tuple[Path, ...] = ()
    named: bool = False

    @property
    def record(self) -> Path:
        """Where it is written how the target was made."""
        return record_path(self.target)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Everything but the record."""
        frames = () if self.frames is None else (self.frames,)
        return (self.target, *frames, *self.comparison)


def record_path(target: Path) -> Path:
    """Returns where the record of a result is: `clip.mp4.json` beside `clip.mp4`."""
    return target.with_name(f"{target.name}.json")


def read_record(target: Path) -> dict | None:
    """Returns the record of a result, None where there is none that this program wrote."""
    try:
        values = read_object(record_path(target), OWN_BYTES)
    except (OSError, ValueError):
        return None
    if not isinstance(values.get("key_sha256"), str):
        return None
    outputs = values.get("outputs")
    named = isinstance(outputs, list) and all(isinstance(name, str) for name in outputs)
    return values if named else None


def results_in(folder: Path) -> set[str]:
    """Returns the names of everything in a folder that this program made, by its records there."""
    found: set[str] = set()
    for path in folder.iterdir():
        if path.suffix == ".json" and path.is_file():
            record = read_record(path.with_name(path.stem))
            found |= set(record["outputs"]) if record else set()
        elif path.is_dir() and not path.is_symlink() and _own_frames(path) is not None:
            found.add(path.name)
    return found


def is_result(path: Path) -> bool:
    """Whether this program made a file or folder."""
    return path.parent.is_dir() and path.name in results_in(path.parent)


def _own_frames(folder: Path) -> int | None:
    """How many frames this program wrote into a folder; None where it did not make it."""
    marker = folder / FRAMES_MARKER
    try:
        whole = marker.is_file() and marker.stat().st_size <= MARKER_BYTES
        count = int(marker.read_text()) if whole else -1
    except (OSError, ValueError):
        return None
    return count if count >= 0 else None


def _foreign_files(folder: Path) -> list[str]:
    """Names in a folder of our frames that are not ours."""
    ours = {FRAMES_MARKER, *_frame_names(folder, 1, _own_frames(folder) or 0)}
    return sorted(p.name for p in folder.iterdir() if p.name not in ours or p.is_dir())


def _frame_names(folder: Path, first: int, last: int) -> list[str]:
    """Names in a folder that frames `first` to `last` have."""
    numbers = ((p.name, int(p.stem)) for p in folder.glob("*.png") if p.stem.isdecimal())
    return [name for name, n in numbers if first <= n <= last and name == f"{n:04d}.png"]


class Sources:
    """Paths that must not be written to: by name, by inode, and by the folders they are in."""

    def __init__(self, paths: Iterable[Path]):
        self._names: dict[str, Path] = {}
        self._inodes: dict[tuple[int, int], Path] = {}
        self._folders: dict[str, Path] = {}
        for path in paths:
            real = Path(os.path.realpath(path))
            for name in (real, path.absolute()):
                self._names[_plain(name)] = path
                self._folders |= {_plain(parent): path for parent in name.parents}
            if path.exists():
                status = path.stat()
                self._inodes[status.st_dev, status.st_ino] = path

    def check(self, path: Path) -> None:
        """Raises `ValueError` where a path is a source or a folder that holds one.

        Names that differ in case or in Unicode normalisation only count as one, since some file
        systems take them for one.
        """
        for name in (_plain(Path(os.path.realpath(path))), _plain(path.absolute())):
            if name in self._names:
                raise ValueError(f"{shown(path)} is the input itself; give another -o")
            if name in self._folders:
                raise ValueError(
                    f"{shown(path)} is a folder that holds the input "
                    f"{shown(self._folders[name])}; give another -o"
                )
        if path.exists():
            status = path.stat()
            if (status.st_dev, status.st_ino) in self._inodes:
                raise ValueError(f"{shown(path)} is the input itself; give another -o")


def _plain(path: Path) -> str:
    return unicodedata.normalize("NFC", os.fspath(path)).casefold()


def check_outputs(
    outputs: Outputs,
    sources: Iterable[Sources],
    *,
    overwrite: bool,
    already_published: bool = False,
) -> None:
    """Refuses to write where something of the user's is.

    Args:
        outputs: What would be written.
        sources: Every input of the run, and what is read beside them.
        overwrite: Whether results of this program, and the file that the user named, may be
            replaced.
        already_published: What is at the place of target and frames is this very result.

    Raises:
        ValueError: A path is a source, holds one, is taken, or has too long a name.
    """
    for path in outputs.paths:
        length = len(os.fsencode(path.name))
        if length > LONGEST_NAME - ROOM:
            raise ValueError(
                f"the result's name {shown(path.name)} has {length} bytes; up to "
                f"{LONGEST_NAME - ROOM} are possible"
            )
    for part in sources:
        for path in (*outputs.paths, outputs.record):
            part.check(path)
    _check_record(outputs)
    record = read_record(outputs.target) or {}
    for path in outputs.comparison if already_published else outputs.paths:
        if path.exists() or path.is_symlink():
            derived = path in outputs.comparison  # replaced whenever its result is shown
            _check_taken(path, outputs, record, overwrite=overwrite or derived)


def _check_record(outputs: Outputs) -> None:
    path = outputs.record
    if (path.exists() or path.is_symlink()) and read_record(outputs.target) is None:
        raise ValueError(
            f"{shown(path)} exists and was not written by this program; its record would go "
            "there. Move it away, or give another -o or --save_suffix"
        )


def _check_taken(path: Path, outputs: Outputs, record: dict, *, overwrite: bool) -> None:
    listed = path.name in record.get("outputs", [])
    ours = listed and not (path.is_dir() and _own_frames(path) is None)
    named = outputs.named and path == outputs.target and path.is_file() and not path.is_symlink()
    if not ours and not (named and overwrite):
        hint = "give --overwrite to replace it" if named else "give another -o or --save_suffix"
        raise ValueError(f"{shown(path)} exists and was not made by this program; {hint}")
    if not overwrite:
        raise ValueError(
            f"{shown(path)} exists and was made with other settings or from another input; give "
            "--overwrite to replace it, or --save_suffix to keep both"
        )
    if path.is_dir() and (foreign := _foreign_files(path)):
        raise ValueError(
            f"{shown(path)} holds {shown(foreign[0])}, which was not made by this program; move it "
            "away"
        )


def publish_file(temporary: Path, target: Path) -> None:
    """Gives a finished file its final name, where a file may be replaced.

    Raises:
        OSError: The folder is gone, or a folder is in the way.
    """
    temporary.replace(target)


def publish_frames(made: Path, target: Path, count: int) -> None:
    """Gives a finished folder of `count` frames its final name.

    Frames of an earlier result there are replaced; everything else in the folder stays.
    """
    if not target.exists():
        (made / FRAMES_MARKER).write_text(f"{count}\n")
        made.replace(target)
        return
    before = _own_frames(target) or 0
    for frame in sorted(made.iterdir()):
        frame.replace(target / frame.name)
    write_text(target / FRAMES_MARKER, f"{max(count, before)}\n")
    for name in _frame_names(target, count + 1, before):
        remove_own_file(target / name)
    write_text(target / FRAMES_MARKER, f"{count}\n")
    made.rmdir()


def check_folder(folder: Path) -> Path:
    """Checks that a folder is writable, or can be created, without creating it.

    Returns:
        The nearest folder above it that exists.

    Raises:
        ValueError: A file is in the way, or nothing can be written there.
    """
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists() or p.is_symlink())
    if not existing.is_dir():
        raise ValueError(f"cannot create folder {shown(folder)}: {shown(existing)} is no folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"folder {shown(existing)} is not writable")
    return existing


def writable_folder(folder: Path) -> Path:
    """Creates a folder; `ValueError` where that is not possible or it is not writable."""
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot create folder {shown(folder)}: {error.strerror}") from error
    return folder


def check_disk(folder: Path, needed: int) -> None:
    """Raises `ValueError` where the disk has fewer than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"the disk of {shown(folder)} has {free / 1e9:.1f} GB left, and the result needs more "
            f"than {needed / 1e9:.1f} GB while it is made; free some, or give another -o"
        )
