"""Names of results: the published scheme, and what differs from the defaults.

`clip_n60_g1_s1_x2_h265.mp4`: clip, noise level, guidance, steps, scale, codec.
"""

import hashlib
import os
import re
from pathlib import Path

from uav_jax.jobs.options import JobOptions
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.runtime.files import LONGEST_NAME
from uav_jax.shapes import UPSCALE

ROOM = 32
"""Bytes that a name leaves for `_compare.html` and the names of records."""

_PATTERN = re.compile(r"_n\d+_g[\d.]+_s\d+(_.*)?")


def result_stem(name: str, settings: UpscaleSettings, options: JobOptions) -> str:
    """Returns the name of a result without its suffix.

    Args:
        name: Of the source, without its suffix.
        settings: Noise level, guidance, steps and propagation steps are named.
        options: Scale or height, pre-scale, part, codec and suffix are named where they are not the
            default.
    """
    words = [f"n{settings.noise_level}", f"g{settings.guidance_scale:g}"]
    words.append(f"s{settings.inference_steps}")
    if settings.propagation_steps:
        words.append("p" + "_".join(map(str, settings.propagation_steps)))
    if options.height is not None:
        words.append(f"h{options.height}")
    elif options.scale != UPSCALE:
        words.append(f"x{options.scale}")
    if options.pre_scale != 1:
        words.append(f"pre{options.pre_scale:g}")
    part = options.read.part
    if not part.is_whole:
        ends = (p.text.lstrip("#").replace(":", ".") if p else "" for p in (part.start, part.stop))
        words.append("-".join(ends))
    if options.output.codec not in (None, "h264", "png"):
        words.append(options.output.codec)
    if options.suffix:
        words.append(options.suffix)
    return _fitting(name, "_" + "_".join(words))


def _fitting(name: str, tail: str) -> str:
    """The name, shortened where a file system could not hold it."""
    room = LONGEST_NAME - ROOM - len(os.fsencode(tail))
    encoded = os.fsencode(name)
    if len(encoded) <= room:
        return name + tail
    mark = "~" + hashlib.sha256(encoded).hexdigest()[:8]
    kept = encoded[: max(1, room - len(mark))].decode("utf-8", "ignore")
    return kept + mark + tail


def is_result_of(path: Path, name: str) -> bool:
    """Whether a file or folder has the name of a result of a source called `name`."""
    stem = path.name if path.is_dir() else path.stem
    return stem.startswith(name) and _PATTERN.fullmatch(stem[len(name) :]) is not None


def distinct_names(sources: list[Path]) -> list[str]:
    """Returns a different name for every source.

    The file's name without its suffix; with it, or with the folder in front, where two would have
    the same (also where they differ in case only).

    Args:
        sources: Files and folders.
    """
    ways = (
        lambda path: path.stem if path.is_file() else path.name,
        lambda path: path.name.replace(".", "_"),
        lambda path: f"{path.absolute().parent.name}_{path.stem if path.is_file() else path.name}",
        lambda path: f"{path.absolute().parent.name}_{path.name.replace('.', '_')}",
    )
    names = [ways[0](path) for path in sources]
    for way in ways[1:]:
        twins = _repeated(names)
        if not twins:
            return names
        pairs = zip(sources, names, strict=True)
        proposed = [way(p) if n.casefold() in twins else n for p, n in pairs]
        if len(_repeated(proposed)) < len(twins):
            names = proposed
    return _numbered(names)


def _numbered(names: list[str]) -> list[str]:
    """Names with a number behind those that several sources have."""
    repeated = _repeated(names)
    taken, found = {name.casefold() for name in names}, []
    for name in names:
        candidate, number = name, 0
        while candidate.casefold() in repeated or (number and candidate.casefold() in taken):
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate.casefold())
        found.append(candidate)
    return found


def _repeated(names: list[str]) -> set[str]:
    folded = [name.casefold() for name in names]
    return {name for name in folded if folded.count(name) > 1}
