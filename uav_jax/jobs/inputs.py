"""What the paths of a command line stand for: videos, folders of frames, pictures."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from uav_jax.jobs.outputs import results_in
from uav_jax.video.containers import VIDEO_SUFFIXES, check_regular_file, shown
from uav_jax.video.images import IMAGE_SUFFIXES, image_files

KINDS = ("videos", "frames", "images")


@dataclass(frozen=True, slots=True)
class Input:
    """One source, and the folder of its result below the output folder."""

    path: Path
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class Inputs:
    """All sources of a run. `single`: the user named exactly this one."""

    items: tuple[Input, ...]
    single: bool

    @property
    def paths(self) -> list[Path]:
        """The sources' paths."""
        return [item.path for item in self.items]


def is_hidden(path: Path) -> bool:
    """Whether a name begins with a dot, as those of system files and journals do."""
    return path.name.startswith(".")


def find_inputs(
    names: Sequence[str], *, kind: str | None = None, recursive: bool = False
) -> Inputs:
    """Finds the sources that names stand for.

    Args:
        names: Files, folders and patterns such as `*.mp4`.
        kind: What folders hold: "videos", "frames" (of one video), or "images" (each by itself);
            None decides by their content.
        recursive: Look into folders of folders.

    Raises:
        ValueError: A name stands for nothing, or a folder for several kinds.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind {kind!r}; expected {', '.join(KINDS)}")
    found: list[Input] = []
    paths = [path for name in names for path in _expanded(name)]
    for path in paths:
        if path.is_dir():
            found += _of_folder(path, kind, recursive)
        else:
            check_regular_file(path)
            _check_kind(path, kind)
            found.append(Input(path))
    unique = {os.path.realpath(item.path): item for item in found}
    single = len(paths) == 1 and [item.path for item in unique.values()] == paths
    return Inputs(tuple(unique.values()), single)


def _check_kind(path: Path, kind: str | None) -> None:
    is_image = path.suffix.lower() in IMAGE_SUFFIXES
    if kind == "images" and not is_image:
        raise ValueError(f"{shown(path)} is not an image ({', '.join(IMAGE_SUFFIXES)})")
    if kind == "frames":
        raise ValueError(f"--kind frames is for folders, and {shown(path)} is a file")
    if kind == "videos" and is_image:
        raise ValueError(f"{shown(path)} is an image; leave --kind out, or give --kind images")


def _expanded(name: str) -> list[Path]:
    if name == "-":
        raise ValueError("input '-': standard input is not supported; give a file")
    path = Path(name)
    if path.exists() or path.is_symlink() or not has_magic(name):
        if not path.exists() and not path.is_symlink():
            raise ValueError(f"{shown(path)} does not exist")
        return [path]
    found = sorted(map(Path, glob(name)))
    ours = {parent: results_in(parent) for parent in {p.parent for p in found}}
    suffixes = VIDEO_SUFFIXES + IMAGE_SUFFIXES
    usable = [p for p in found if p.name not in ours[p.parent]]
    usable = [p for p in usable if p.is_dir() or _is_source(p, suffixes)]
    if not usable:
        raise ValueError(f"no video or image matches {shown(name)}")
    return usable


def _is_source(path: Path, suffixes: Iterable[str]) -> bool:
    return path.suffix.lower() in suffixes and not is_hidden(path) and path.is_file()


def _of_folder(folder: Path, kind: str | None, recursive: bool) -> list[Input]:
    found = list(_one_folder(folder, kind, Path(), required=not recursive))
    if recursive:
        for parent, names, _ in os.walk(folder):
            ours = results_in(Path(parent))
            names[:] = sorted(n for n in names if not n.startswith(".") and n not in ours)
            for name in names:
                below = Path(parent) / name
                found += _one_folder(below, kind, below.relative_to(folder), required=False)
        if not found:
            raise ValueError(f"{shown(folder)} and its folders hold no video and no image")
    return found


def _one_folder(folder: Path, kind: str | None, place: Path, *, required: bool) -> list[Input]:
    try:
        ours = results_in(folder)
        listed = [p for p in sorted(folder.iterdir()) if p.name not in ours]
    except OSError as error:
        raise ValueError(f"folder {shown(folder)} cannot be read: {error.strerror}") from error
    videos = [p for p in listed if _is_source(p, VIDEO_SUFFIXES)]
    images = [p for p in image_files(folder) if p.is_file() and p.name not in ours]
    if videos and images and kind is None:
        raise ValueError(
            f"{shown(folder)} holds {len(videos)} videos and {len(images)} images; give --kind "
            "videos, --kind frames (the images are one video) or --kind images"
        )
    chosen = kind or ("videos" if videos else "frames")
    if not (videos if chosen == "videos" else images):
        if required:
            what = {"videos": "no video"}.get(chosen, "no image") if kind else "no video, no image"
            raise ValueError(f"{shown(folder)} holds {what}")
        return []
    if chosen == "frames":
        return [Input(folder, place.parent if place.name else place)]
    return [Input(path, place) for path in (videos if chosen == "videos" else images)]
