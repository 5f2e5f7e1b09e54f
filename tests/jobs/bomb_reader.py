"""Reads files in every way that the program has, and prints what each took, a line of JSON each.

    python -m tests.jobs.bomb_reader HARMLESS_VIDEO HARMLESS_IMAGE FILE ...

Time is the processor's, without the program's start; memory is the peak above what was held before.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from tests.stub import stub_upscaler
from uav_jax.data.clips import FrameFolder, VideoFile
from uav_jax.evaluation.dataset import decoded
from uav_jax.jobs.options import JobOptions
from uav_jax.jobs.prepare import prepare
from uav_jax.video.images import IMAGE_SUFFIXES
from uav_jax.video.limits import COMMAND_LINE_LIMITS
from uav_jax.video.probe import probe
from uav_jax.video.source import ReadOptions
from uav_jax.web.requests import UPLOAD


def infer(path: Path) -> None:
    upscaler = stub_upscaler()
    out = path.parent / "out"
    options = JobOptions(read=ReadOptions(limits=COMMAND_LINE_LIMITS))
    prepare(upscaler, path, out, upscaler.defaults, options, lambda *_: None)


def train(path: Path) -> None:
    place, frames = VideoFile(path), 3
    if path.suffix in IMAGE_SUFFIXES:
        folder = path.with_name(f"{path.name}.frames")
        folder.mkdir(exist_ok=True)
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
        place, frames = FrameFolder(folder), 1
    place.cut(np.random.default_rng(0), frames, 8)


def evaluate(path: Path) -> None:
    for _ in decoded(path):
        pass


def page(path: Path) -> None:
    probe(path, UPLOAD)


WAYS = {way.__name__: way for way in (infer, train, evaluate, page)}


def status(name: str) -> int:
    """Kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def restart_peak() -> int:
    """Lets the peak of memory begin anew; returns the memory in use."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def megabytes_since(before: int) -> float:
    return (status("VmHWM") - before) / 1024


def measured(path: Path, way: str) -> dict:
    """What reading a file took, and why it was refused; None where it was read."""
    before, message = restart_peak(), None
    started = time.process_time()
    try:
        WAYS[way](path)
    except ValueError as error:
        message = str(error)
    seconds = time.process_time() - started
    megabytes = megabytes_since(before)
    return dict(file=path.name, way=way, refused=message, seconds=seconds, megabytes=megabytes)


if __name__ == "__main__":
    paths = [Path(name) for name in sys.argv[1:]]
    for path in paths:
        for way in WAYS:
            print(json.dumps(measured(path, way)), flush=True)
