"""One video on its way to an upscaled one: what it will be, and doing it so that it can go on."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from uav_jax.io.encode import OutputFormat, encode_segment, join, quantised, rounded_size
from uav_jax.io.scenes import find_cuts
from uav_jax.io.source import FrameWindow, SourceInfo, scan
from uav_jax.jobs.journal import Journal, discard, is_begun
from uav_jax.jobs.overlap import consumed_beside, made_ahead
from uav_jax.layers.resample import area_matrix, resize
from uav_jax.pipeline.plan import Plan
from uav_jax.pipeline.runner import ClipRunner, Progress
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import LARGE, Upscaler, output_size, reduce_large
from uav_jax.provenance import hash_values, result_record
from uav_jax.shapes import UPSCALE

VIDEO_OUTPUTS = (".mp4", ".mkv", ".mov")

Prompts = Callable[[SourceInfo, tuple[int, ...]], tuple[str, ...]]
"""A video and the first frames of its later scenes to a prompt for each scene."""


def _silent(*_) -> None:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOptions:
    """What is wanted beside the model's settings."""

    output: OutputFormat = field(default_factory=OutputFormat)
    scale: int = UPSCALE  # 2, 3 or 4
    height: int | None = None  # of the result, instead of a scale
    scenes: str | tuple[int, ...] = "auto"  # "auto", "off", or the first frames of later scenes
    published: bool = False  # truncate to 8 bits as the published code does
    overwrite: bool = False
    suffix: str = ""  # appended to the names of results

    def __post_init__(self):
        if self.scale not in (2, 3, 4):
            raise ValueError(f"scale {self.scale}; expected 2, 3 or 4")
        if self.height is not None and self.height < 1:
            raise ValueError(f"height {self.height} is not positive")
        if isinstance(self.scenes, str) and self.scenes not in ("auto", "off"):
            raise ValueError(
                f"scenes {self.scenes!r}; expected auto, off, or frame numbers such as 48,120"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A video that is understood: what it is, what becomes of it, and how."""

    source: SourceInfo
    target: Path
    settings: UpscaleSettings
    options: JobOptions
    plan: Plan
    size: tuple[int, int]  # height and width of the result
    record: dict  # everything that the result depends on

    @property
    def reduced(self) -> bool:
        """Whether the input is taken for a finished large video, and reduced 4 times first."""
        return self.source.height * self.source.width >= LARGE

    @property
    def record_path(self) -> Path:
        """Where the record lies when the result is there."""
        stem = self.target.name if self.writes_folder else self.target.stem
        return self.target.with_name(f"{stem}.json")

    @property
    def writes_folder(self) -> bool:
        """Whether the result is a folder of images."""
        return self.options.output.codec == "png"

    def is_done(self) -> bool:
        """Whether the result is there, made with these settings from this input."""
        try:
            known = json.loads(self.record_path.read_text())
        except (OSError, ValueError):
            return False
        return self.target.exists() and known.get("key_sha256") == self.record["key_sha256"]


def result_name(source: Path, settings: UpscaleSettings, suffix: str) -> str:
    """The published naming: clip, noise level, guidance, steps, propagation steps."""
    name = f"{source.stem if source.is_file() else source.name}_n{settings.noise_level}"
    name += f"_g{settings.guidance_scale:g}_s{settings.inference_steps}"
    if settings.propagation_steps:
        name += "_p" + "_".join(map(str, settings.propagation_steps))
    return name + (f"_{suffix}" if suffix else "")


def writable_folder(folder: Path) -> Path:
    """Makes a folder; ``ValueError`` where that is not possible or nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot create folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise ValueError(f"folder {folder} is not writable")
    return folder


def target_of(source: SourceInfo, output: Path, settings, options: JobOptions) -> Path:
    """What to write: ``output`` itself if it names a video, else a name in that folder.

    ``ValueError`` for a name that the codec cannot be in.
    """
    name = result_name(source.path, settings, options.suffix)
    if options.output.codec == "png":
        if output.suffix.lower() in VIDEO_OUTPUTS:
            raise ValueError(f"codec png writes a folder of frames, but the output is {output}")
        return writable_folder(output) / name
    if output.suffix.lower() in VIDEO_OUTPUTS:
        options.output.check_container(output)
        writable_folder(output.parent)
        return output
    if output.is_file():
        raise ValueError(
            f"{output} is a file; give a folder, or a name ending in .mp4, .mkv or .mov"
        )
    return writable_folder(output) / (name + options.output.suffix(source))


def result_size(source: SourceInfo, options: JobOptions) -> tuple[int, int]:
    """Height and width of the result; ``ValueError`` where more is asked for than 4 times."""
    low = (source.height, source.width)
    if source.height * source.width >= LARGE:
        low = (source.height // UPSCALE, source.width // UPSCALE)
    height, width = output_size(*low)
    if options.height is not None:
        if options.height > height:
            raise ValueError(
                f"height {options.height} is more than {UPSCALE} times the input's "
                f"({height}); give {height} or less"
            )
        height, width = options.height, max(1, round(width * options.height / height))
    else:
        height, width = low[0] * options.scale, low[1] * options.scale
    return rounded_size(height, width, options.output.codec)


def scene_cuts(source: SourceInfo, wanted: str | tuple[int, ...]) -> tuple[int, ...]:
    """The first frames of scenes but the first."""
    if isinstance(wanted, tuple):
        return wanted
    return tuple(find_cuts(source.changes)) if wanted == "auto" else ()


def prepare(
    upscaler: Upscaler,
    path: Path,
    output: Path,
    settings: UpscaleSettings,
    options: JobOptions,
    progress: Progress,
    *,
    prompts: Prompts | None = None,
    source: SourceInfo | None = None,
) -> Job:
    """Reads the video once and plans it. ``ValueError`` for every mistake that can be known now.

    ``prompts`` says what each scene shows, instead of the settings' prompt. ``source`` is what
    ``scan`` found, where the video was read already.
    """
    upscaler.check(settings)
    source = source or scan(path, lambda count: progress("reading", count, 0))
    size = result_size(source, options)
    target = target_of(source, output, settings, options)
    height, width = source.height, source.width
    if height * width >= LARGE:
        height, width = height // UPSCALE, width // UPSCALE
    cuts = scene_cuts(source, options.scenes)
    if prompts is not None:
        found = prompts(source, cuts)
        same = len(set(found)) == 1
        settings = replace(settings, **({"prompt": found[0]} if same else {"scene_prompts": found}))
    plan = upscaler.plan(source.frames, height, width, settings, cuts=cuts)
    record = result_record(path, upscaler.directory, asdict(settings), upscaler.dtype)
    record["output"] = asdict(replace(options, overwrite=False)) | {"size": list(size)}
    record["scene_cuts"] = list(cuts)
    record["key_sha256"] = hash_values(json.loads(json.dumps(record)))
    return Job(
        source=source,
        target=target,
        settings=settings,
        options=options,
        plan=plan,
        size=size,
        record=record,
    )


_reduce = jax.jit(
    lambda frames, height, width: resize(frames, height, width, area_matrix), static_argnums=(1, 2)
)


def _sized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames averaged down to the wanted size; one row or column more than there is repeats it."""
    if frames.shape[1:3] == (height, width):
        return frames
    H, W = min(height, frames.shape[1]), min(width, frames.shape[2])
    out = np.asarray(_reduce(jnp.asarray(frames), H, W))
    return np.pad(out, ((0, 0), (0, height - H), (0, width - W), (0, 0)), "edge")


def _finished(job: Job, groups: Iterator[np.ndarray], depth: int) -> Iterator[np.ndarray]:
    """Whole-number frames of the wanted size, one by one."""
    for group in groups:
        sized = _sized(group, *job.size)
        yield from quantised(sized, depth, truncate=job.options.published)


def _save_images(frames: Iterator[np.ndarray], folder: Path, first: int) -> Iterator[np.ndarray]:
    """Also writes every frame that passes as ``0001.png``, ..."""
    for number, image in enumerate(frames, first + 1):
        deep = image.dtype != np.uint8
        picture = Image.fromarray(np.rint(image / 257).astype(np.uint8) if deep else image)
        temporary = folder / f".{number:04d}.partial"
        picture.save(temporary, format="PNG")
        temporary.replace(folder / f"{number:04d}.png")
        yield image


def run_job(
    upscaler: Upscaler, job: Job, progress: Progress, *, pause: Callable[[], None] = _silent
) -> Path:
    """Makes the result, going on where an earlier run was stopped; returns its path.

    What ``progress`` or ``pause`` (called between two segments) raise ends the run like a kill.
    ``ValueError`` where something else is at its place and overwriting was not asked for.
    """
    if job.is_done() and not job.options.overwrite:
        return job.target
    # A run that was begun was allowed to, and may have been killed between result and record.
    allowed = job.options.overwrite or is_begun(job.target, job.record)
    if job.target.exists() and not allowed:
        raise ValueError(
            f"{job.target} exists and was made with other settings or from another input; "
            "give --overwrite to replace it"
        )
    journal = Journal(job.target, job.record)
    if journal.outdated:
        progress("settings or input changed since the last run: starting anew", 0, 0)
    if journal.resumed:
        progress("going on where the last run stopped", 0, 0)
    layout = journal.layout({"tile": job.plan.tile, "context": job.plan.context})
    plan = replace(job.plan, **layout)
    runner = upscaler.runner(plan, job.settings, job.source.frames, progress=progress)
    left = [n for n in range(len(plan.segments)) if not journal.segment(n).is_file()]
    for number, frames in zip(left, _inputs(job.source, plan, left), strict=True):
        pause()
        _make_segment(job, journal, runner, number, frames)
    _publish(job, journal)
    return job.target


def _inputs(source: SourceInfo, plan: Plan, numbers: list[int]) -> Iterator[np.ndarray]:
    """The frames that segments look at, those of the next one read meanwhile."""
    window = FrameWindow(source)
    spans = (plan.segments[number].of_clip for number in numbers)
    return made_ahead(partial(_input, window, *span) for span in spans)


def _input(window: FrameWindow, first: int, last: int) -> np.ndarray:
    return reduce_large(window.frames(first, last))[0]


def _make_segment(
    job: Job, journal: Journal, runner: ClipRunner, number: int, frames: np.ndarray
) -> None:
    """Makes segment ``number`` of ``frames``; finished ones are written meanwhile."""
    segment, images = runner.plan.segments[number], job.writes_folder
    if job.settings.propagation_steps and number:
        runner.carried = journal.carried(number - 1)
    depth = 8 if images else job.options.output.depth(job.source.bits)
    finished = _finished(job, runner.segment(frames, segment), depth)
    if job.settings.propagation_steps:
        finished = _then(finished, lambda: journal.save_carried(number, *runner.carried))
    first = segment.scene + segment.start

    def write(made: Iterator[np.ndarray]) -> None:
        if images or job.options.output.images:
            made = _save_images(made, journal.frames(), first)
        write = _count if images else partial(encode_segment, output=job.options.output)
        write(journal.segment(number), made, depth=depth, source=job.source)

    consumed_beside(write, finished)


def _then(frames: Iterator[np.ndarray], action) -> Iterator[np.ndarray]:
    """Does ``action`` when the last frame has passed."""
    yield from frames
    action()


def _count(path: Path, frames: Iterator[np.ndarray], **_) -> None:
    """Lets frames pass that are kept elsewhere, and notes how many."""
    count = sum(1 for _ in frames)
    path.write_text(f"{count}\n")


def _publish(job: Job, journal: Journal) -> None:
    """Puts the result at its place, and the record beside it."""
    if not job.writes_folder:
        comment = json.dumps(job.record, separators=(",", ":"))
        segments = [journal.segment(number) for number in range(len(job.plan.segments))]
        join(job.target, segments, job.source, comment=comment)
    if journal.has_frames():  # not where a run was killed after they had been moved
        name = job.target.name if job.writes_folder else job.target.stem
        _replace_folder(journal.frames(), job.target.with_name(name))
    temporary = job.record_path.with_name(f".{job.record_path.name}.partial")
    temporary.write_text(json.dumps(job.record, indent=1) + "\n")
    temporary.replace(job.record_path)
    discard(job.target)


def _replace_folder(made: Path, target: Path) -> None:
    """Moves a finished folder of frames to its place, where an older one may be."""
    if target.exists():
        shutil.rmtree(target)
    made.replace(target)


def upscale_video(
    upscaler: Upscaler,
    source: Path,
    output: Path,
    settings: UpscaleSettings | None = None,
    options: JobOptions | None = None,
    *,
    progress: Progress = _silent,
) -> Path:
    """Upscales one video (or a folder of frames) into a folder or a video file; returns the result.

    Goes on where an earlier call with the same arguments was stopped. ``ValueError`` for every
    mistake in arguments or input, and where another result is in the way.
    """
    settings, options = settings or upscaler.defaults, options or JobOptions()
    job = prepare(upscaler, source, output, settings, options, progress)
    return run_job(upscaler, job, progress)
