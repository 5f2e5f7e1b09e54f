"""What the page's runs compute: a preview of a second, or the whole video, and pictures of both."""

import logging
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from uav_jax.jobs.options import JobOptions
from uav_jax.jobs.prepare import DISK_MARGIN, Job, prepare
from uav_jax.jobs.video import run_job
from uav_jax.pipeline.runner import Progress
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler, to_bytes
from uav_jax.runtime.files import folder_bytes
from uav_jax.video.color import to_8_bit
from uav_jax.video.limits import NO_LIMITS
from uav_jax.video.probe import probe
from uav_jax.video.source import ReadOptions, SourceInfo
from uav_jax.web.queue import Run

PREVIEW_SIDE = 64
"""Input pixels a side of a preview, where the video is that large."""

PREVIEW_FRAMES = 24
"""At most, of the second that is previewed."""

MOST_STILLS = 240
"""Frames of a result that are kept as pictures to compare, evenly spread."""

QUALITY = 92


@dataclass(frozen=True, slots=True)
class Quota:
    """How much disk a visitor's run may use.

    Attributes:
        folder: The visitor's.
        megabytes: Of all files in it.
        free_bytes: Of the disk that stay free.
    """

    folder: Path
    megabytes: float
    free_bytes: int

    def check(self, coming: int = 0) -> None:
        """Raises `ValueError` where too little is left for `coming` bytes."""
        if shutil.disk_usage(self.folder).free < self.free_bytes + coming:
            raise ValueError("the server's disk is full; try again later")
        if folder_bytes(self.folder) > self.megabytes * 1e6:
            raise ValueError(
                f"your files have more than {self.megabytes:g} MB; remove them, or upscale a part "
                "of the video"
            )


def preview_side(source: SourceInfo) -> int:
    """Input pixels a side of a preview of this video."""
    return min(PREVIEW_SIDE, source.height, source.width)


@dataclass(frozen=True, slots=True)
class Moment:
    """What is previewed: a second from frame ``first`` on, of the square around a point."""

    first: int
    x: float  # of the width, 0 to 1
    y: float  # of the height, 0 to 1

    def square(self, source: SourceInfo) -> tuple[slice, slice]:
        """Rows and columns of the square, moved inside the frame."""
        spans, side = [], preview_side(source)
        for length, at in ((source.height, self.y), (source.width, self.x)):
            start = min(max(0, round(at * length - side / 2)), length - side)
            spans.append(slice(start, start + side))
        return spans[0], spans[1]

    def frames(self, source: SourceInfo) -> UInt8[np.ndarray, "T h w 3"]:
        """The frames of the second, cut to the square."""
        count = max(1, min(PREVIEW_FRAMES, math.ceil(source.rate), source.frames))
        first = min(max(0, self.first), source.frames - count)
        rows, columns = self.square(source)
        return np.stack([f[rows, columns] for f in islice(source.stream(), first, first + count)])


def save_pair(folder: Path, number: int, before: np.ndarray, after: np.ndarray) -> None:
    """Pictures of one frame: ``0003_before.png`` as it came, ``0003_after.jpg``."""
    folder.mkdir(exist_ok=True)
    Image.fromarray(to_8_bit(before)).save(folder / f"{number:04d}_before.png")
    Image.fromarray(to_8_bit(after)).save(folder / f"{number:04d}_after.jpg", quality=QUALITY)


def preview(
    upscaler: Upscaler, source: SourceInfo, moment: Moment, settings: UpscaleSettings, folder: Path
) -> Callable[[Run], None]:
    """A run's work: the previewed frames before and after, as pictures in ``folder``."""

    def work(run: Run) -> None:
        frames = moment.frames(source)
        made = upscaler.upscale(frames, settings, progress=run.progress)
        after = (frame for group in made for frame in to_bytes(group))
        for number, (low, high) in enumerate(zip(frames, after, strict=True)):
            save_pair(folder, number, low, high)

    return work


def still_numbers(frames: int) -> tuple[int, ...]:
    """Which frames of a result are kept as pictures."""
    count = min(frames, MOST_STILLS)
    return tuple(sorted({round(n) for n in np.linspace(0, frames - 1, count)}))


def _read_result(path: Path) -> SourceInfo:
    return probe(path, ReadOptions(hdr="keep", limits=NO_LIMITS))


def saved_stills(folder: Path, source: SourceInfo) -> tuple[int, ...]:
    """Returns the frames of a result in `folder` whose pictures are there."""
    numbers = still_numbers(source.frames)
    return tuple(n for n in numbers if (folder / "stills" / f"{n:04d}_after.jpg").is_file())


def save_stills(run: Run, source: SourceInfo, result: Path, folder: Path) -> None:
    """Pictures of the same frames of both videos."""
    wanted, made = set(still_numbers(source.frames)), _read_result(result)
    both: Iterator = zip(source.stream(), made.stream(), strict=True)
    for number, (before, after) in enumerate(both):
        if number in wanted:
            save_pair(folder, number, before, after)
            run.progress("pictures", number + 1, source.frames)


def job_of(
    upscaler: Upscaler,
    source: SourceInfo,
    settings: UpscaleSettings,
    options: JobOptions,
    folder: Path,
    progress: Progress,
) -> Job:
    """Prepares the job of an upload, which is read again where the form wants it read otherwise."""
    known = source if source.options == options.read else None
    return prepare(upscaler, source.path, folder, settings, options, progress, source=known)


def whole(
    upscaler: Upscaler,
    source: SourceInfo,
    settings: UpscaleSettings,
    options: JobOptions,
    folder: Path,
    quota: Quota,
    found: list[Job],
) -> Callable[[Run], None]:
    """Returns a run's work: the video into `folder`, its job put into `found` when it is done.

    The disk is checked before the run and between its segments. A run that stopped at a pause
    resumes by its journal.
    """

    def work(run: Run) -> None:
        job = job_of(upscaler, source, settings, options, folder, run.progress)
        quota.check(job.disk // DISK_MARGIN)

        def pause() -> None:
            quota.check()
            run.pause()

        if not job.is_done():  # by a run that ended among its pictures
            run_job(upscaler, job, run.progress, pause=pause)
        found.append(job)
        try:
            quota.check()
            save_stills(run, job.source, job.target, folder / "stills")
        except (ValueError, OSError):  # the result is there, with fewer pictures to compare
            logging.getLogger(__name__).warning("pictures of a result are missing", exc_info=True)

    return work
