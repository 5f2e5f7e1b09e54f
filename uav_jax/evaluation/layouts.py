"""Where published test sets keep their clips.

| layout | truth | input |
|---|---|---|
| pairs | ``<clip>/hr.*`` | ``<clip>/lq_<kind>.*`` |
| spmcs | ``.../<clip>/truth/`` (SPMCS; UDM10 in some releases) | made from the truth |
| udm10 | ``GT/<clip>/`` | made |
| reds30 | ``*_sharp/<clip>/`` | made |
| youhq40 | every folder of images, every video | made |
| videolq | none | ``Input/<clip>/`` |
| aigc30 | none | every folder of images, every video |
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uav_jax.video.containers import VIDEO_SUFFIXES
from uav_jax.video.images import image_files


@dataclass(frozen=True, slots=True)
class Source:
    """A clip's files or folders of frames; an input that is None is made from the truth."""

    truth: Path | None
    low_res: Path | None


Sources = dict[str, Source]


def find_clip(folder: Path, stem: str) -> Path:
    """The one file or folder of that stem; ``ValueError`` if there is none, or several."""
    found = sorted(
        p for p in folder.glob(f"{stem}*") if p.stem == stem and p.suffix not in SIDECARS
    )
    if len(found) != 1:
        what = "nothing" if not found else ", ".join(p.name for p in found)
        raise ValueError(f"{folder} should hold one {stem}.* or folder {stem}, but holds {what}")
    return found[0]


def _pairs(directory: Path, kind: str) -> Sources:
    folders = [p for p in sorted(directory.iterdir()) if any(p.glob(f"lq_{kind}*"))]
    return {
        p.name: Source(
            find_clip(p, "hr") if any(p.glob("hr*")) else None, find_clip(p, f"lq_{kind}")
        )
        for p in folders
    }


def _folders(directory: Path, pattern: str) -> list[Path]:
    found = directory.glob(pattern)
    return sorted(p for p in found if p.is_dir() and image_files(p))


def _spmcs(directory: Path, kind: str) -> Sources:
    del kind
    found = {p.parent.name: p for p in _folders(directory, "**/truth")}
    return {name: Source(path, None) for name, path in found.items()}


def _truths(pattern: str) -> Callable[[Path, str], Sources]:
    def find(directory: Path, kind: str) -> Sources:
        del kind
        return {p.name: Source(p, None) for p in _folders(directory, pattern)}

    return find


def _everything(directory: Path) -> dict[str, Path]:
    files = [p for p in sorted(directory.rglob("*")) if not p.name.startswith(".")]
    videos = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES]
    found = [p for p in (*_folders(directory, "**"), *videos) if INPUTS not in str(p.parent.name)]
    return {str(p.relative_to(directory).with_suffix("")).replace("/", "--"): p for p in found}


def _youhq(directory: Path, kind: str) -> Sources:
    del kind
    return {name: Source(path, None) for name, path in _everything(directory).items()}


def _videolq(directory: Path, kind: str) -> Sources:
    del kind
    return {p.name: Source(None, p) for p in _folders(directory, "Input/*")}


def _aigc(directory: Path, kind: str) -> Sources:
    del kind
    return {name: Source(None, path) for name, path in _everything(directory).items()}


SIDECARS = (".txt", ".json", ".html")
"""Files beside a clip that are no clip."""

INPUTS = "uav_jax_inputs"
"""Name of the folders that hold inputs made from truths."""

LAYOUTS: dict[str, Callable[[Path, str], Sources]] = {
    "pairs": _pairs,
    "spmcs": _spmcs,
    "udm10": _truths("GT/*"),
    "reds30": _truths("*_sharp/*"),
    "videolq": _videolq,
    "youhq40": _youhq,
    "aigc30": _aigc,
}

_BY_NAME = ("youhq40", "aigc30")
"""Layouts without a mark of their own, known by the folder's name."""


def find_sources(directory: Path, kind: str, layout: str | None = None) -> Sources:
    """The clips of a data set by name, in order; ``layout`` None recognises it.

    ``ValueError`` where nothing is found, naming what would be accepted.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory} is no directory")
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r}; expected one of {', '.join(LAYOUTS)}")
    named = [name for name in _BY_NAME if name[:-2] in directory.name.lower()]
    tried = [layout] if layout else [n for n in LAYOUTS if n not in _BY_NAME] + named
    for name in tried:
        if sources := LAYOUTS[name](directory, kind):
            return sources
    raise ValueError(
        f"{directory} holds no input of kind {kind!r} (<clip>/lq_{kind}.*) and no clips of a known "
        f"layout; give --layout, one of {', '.join(LAYOUTS)}"
    )
