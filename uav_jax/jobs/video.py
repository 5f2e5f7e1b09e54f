"""From a job to its result, segment by segment, so that a killed run resumes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from uav_jax.jobs.journal import Journal, discard
from uav_jax.jobs.options import JobOptions
from uav_jax.jobs.outputs import (
    UNFINISHED,
    Sources,
    check_outputs,
    publish_file,
    publish_frames,
    read_record,
)
from uav_jax.jobs.overlap import consume_in_thread, prefetched
from uav_jax.jobs.prepare import Job, prepare
from uav_jax.layers.resample import area_matrix, resize
from uav_jax.pipeline.plan import Plan
from uav_jax.pipeline.runner import ClipRunner, Progress
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.provenance import environment
from uav_jax.runtime.files import atomic_path, write_text
from uav_jax.video.color import over_black
from uav_jax.video.images import Picture, read_picture, write_picture
from uav_jax.video.mux import join
from uav_jax.video.read import FrameWindow
from uav_jax.video.write import encode_segment, quantised


def _silent(*_) -> None:
    pass


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


def _reduced(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Source frames averaged down to what the model sees, in their own integers."""
    if frames.shape[1:3] == (height, width):
        return frames
    small = (resize(jnp.asarray(f, jnp.float32), height, width, area_matrix) for f in frames)
    return np.stack([np.rint(np.asarray(f)).astype(frames.dtype) for f in small])


def _with_alpha(groups: Iterator[np.ndarray], alpha: np.ndarray) -> Iterator[np.ndarray]:
    """Adds alpha to upscaled frames over black, and divides their colours by it.

    Args:
        groups: Upscaled frames in [-1, 1], `(n, H, W, 3)`.
        alpha: Of all frames of the groups, as the model's input has it, `(N, h, w, 1)` in [0, 1].

    Returns:
        Groups `(n, H, W, 4)` in [-1, 1] with straight alpha.
    """
    done = 0
    for group in groups:
        count, height, width, _ = group.shape
        part = alpha[done : done + count]
        large = jax.image.resize(jnp.asarray(part), (count, height, width, 1), "cubic")
        large = np.clip(np.asarray(large), 0, 1)
        color = np.clip((group * 0.5 + 0.5) / np.maximum(large, 1 / 255), 0, 1)
        done += count
        yield np.concatenate([color, large], -1) * 2 - 1


def _finished(job: Job, groups: Iterator[np.ndarray], depth: int) -> Iterator[np.ndarray]:
    """Integer frames of the wanted size, one by one."""
    for group in groups:
        sized = _sized(group, *job.size)
        yield from quantised(sized, depth, truncate=job.options.published)


def _save_images(frames: Iterator[np.ndarray], folder: Path, first: int) -> Iterator[np.ndarray]:
    """Also writes every frame that passes as `0001.png`, ..."""
    for number, image in enumerate(frames, first + 1):
        with atomic_path(folder / f"{number:04d}.png") as temporary:
            write_picture(temporary, Picture(pixels=image), ".png")
        yield image


def run_job(
    upscaler: Upscaler, job: Job, progress: Progress, *, pause: Callable[[], None] = _silent
) -> Path:
    """Makes the result, resuming where an earlier run was stopped.

    Args:
        upscaler: The model.
        job: What `prepare` returned.
        progress: Told of phases; what it raises ends the run like a kill.
        pause: Called between two segments; what it raises ends the run like a kill.

    Returns:
        The result's path.

    Raises:
        ValueError: Something else appeared at the result's place meanwhile.
        OSError: The disk is full or the folder is gone. The same command resumes.
    """
    if job.is_done() and not job.options.overwrite:
        return job.target
    journal = Journal(job.target, job.key, environment())
    if journal.outdated:
        progress("settings or input changed since the last run: starting anew", 0, 0)
    if journal.resumed:
        progress("resuming after the last finished segment", 0, 0)
    runner, before = None, job.plan
    left = [n for n in range(len(job.plan.segments)) if not journal.is_finished(n)]
    for number, frames in zip(left, _inputs(job, left), strict=True):
        if number != left[0]:  # whoever pauses has finished at least one
            pause()
        if runner is None:
            tiles = journal.layout_before(number)
            before = replace(before, **tiles) if tiles else before
            runner = upscaler.runner(before, job.settings, job.source.frames, progress=progress)
        _make_segment(job, journal, runner, number, frames)
    _publish(job, journal)
    return job.target


def _inputs(job: Job, numbers: list[int]) -> Iterator[np.ndarray]:
    """The frames that segments look at, those of the next one read meanwhile."""
    window = FrameWindow(job.source, keep_alpha=job.form.alpha)
    spans = (job.plan.segments[number].of_clip for number in numbers)
    size = job.options.model_size(job.source)
    return prefetched(partial(_input, window, size, *span) for span in spans)


def _input(window: FrameWindow, size: tuple[int, int], first: int, last: int) -> np.ndarray:
    return _reduced(window.frames(first, last), *size)


def _tiles(plan: Plan) -> dict[str, int]:
    return {"tile": plan.tile, "context": plan.context, "rows_at_once": plan.rows_at_once}


def _make_segment(
    job: Job, journal: Journal, runner: ClipRunner, number: int, frames: np.ndarray
) -> None:
    """Makes segment `number` of `frames`; finished ones are written meanwhile."""
    segment = runner.plan.segments[number]
    if job.settings.propagation_steps and number:
        runner.carried = journal.carry(number - 1)
    colors = over_black(frames) if job.form.alpha else frames
    groups = runner.segment(colors, segment)
    if job.form.alpha:
        top = np.iinfo(frames.dtype).max
        groups = _with_alpha(groups, frames[segment.kept][..., 3:].astype(np.float32) / top)
    finished = _finished(job, groups, job.form.depth)
    if job.settings.propagation_steps:
        finished = _then(finished, lambda: journal.save_carry(number, *runner.carried))
    write = partial(_write_segment, job, journal, number, segment.scene + segment.start)
    consume_in_thread(write, finished)
    journal.finish(number, _tiles(runner.plan))


def _write_segment(
    job: Job, journal: Journal, number: int, first: int, frames: Iterator[np.ndarray]
) -> None:
    """Writes the frames of a segment, `first` being the number of its first one in the clip."""
    path = journal.segment(number)
    if job.writes_picture:
        _write_picture(job, path, frames)
        return
    if job.writes_folder or job.options.output.images:
        frames = _save_images(frames, journal.frames(), first)
    if job.writes_folder:
        write_text(path, f"{sum(1 for _ in frames)}\n")
    else:
        encode_segment(path, frames, job.form)


def _write_picture(job: Job, path: Path, frames: Iterator[np.ndarray]) -> None:
    """One picture, with the profile and EXIF data of its source."""
    (pixels,) = frames
    limits = job.source.options.limits
    original = read_picture(job.source.path, keep_profile=True, limits=limits)
    picture = Picture(pixels=pixels, profile=original.profile, exif=original.exif)
    with atomic_path(path) as temporary:
        write_picture(temporary, picture, job.target.suffix)


def _then(frames: Iterator[np.ndarray], action) -> Iterator[np.ndarray]:
    """Does `action` when the last frame has passed."""
    yield from frames
    action()


def _publish(job: Job, journal: Journal) -> None:
    """Gives the finished files their names, and writes the record beside them."""
    record = job.record | {"environments": journal.environments}
    segments = [journal.segment(number) for number in range(len(job.plan.segments))]
    finished = None
    if job.writes_picture:
        finished = segments[0]
    elif not job.writes_folder:
        finished = journal.result(job.target.suffix)
        made_with = {k: v for k, v in record.items() if k != "outputs"}  # the name is no content
        comment = json.dumps(made_with, separators=(",", ":"))
        join(finished, segments, job.source, job.form, plans=list(job.streams), comment=comment)
    if not job.is_publishing():
        own = Sources([job.source.path, *job.source.files])
        check_outputs(job.outputs, [own], overwrite=job.options.overwrite)
    # From here on files of these names are known as this program's, also after a kill.
    journal.publish_record(job.outputs.record, record | {UNFINISHED: True})
    if journal.has_frames():  # not where a run was killed after they had been moved
        place = job.target if job.writes_folder else job.outputs.frames
        assert place is not None
        publish_frames(journal.frames(), place, job.source.frames)
    if finished is not None and finished.is_file():
        publish_file(finished, job.target)
    journal.publish_record(job.outputs.record, record)
    discard(job.target)


def note_comparison(job: Job) -> None:
    """Adds the comparison to the record of a result, so that a later run may replace it."""
    record = read_record(job.target) or job.record
    names = dict.fromkeys([*record.get("outputs", []), *(p.name for p in job.outputs.paths)])
    text = json.dumps(record | {"outputs": list(names)}, indent=1)
    write_text(job.outputs.record, text + "\n")


def upscale_video(
    upscaler: Upscaler,
    source: Path,
    output: Path,
    settings: UpscaleSettings | None = None,
    options: JobOptions | None = None,
    *,
    progress: Progress = _silent,
) -> Path:
    """Upscales one video, folder of frames or picture; returns the result.

    Args:
        upscaler: The model.
        source: What is upscaled.
        output: A folder, or the name of a file.
        settings: Those of the model; its defaults.
        options: Of reading and writing.
        progress: Told of phases, and of what is not done as asked (with 0, 0).

    Raises:
        ValueError: Every mistake in arguments or input, and where something is in the way.
        OSError: The disk is full. The same call resumes.
    """
    settings, options = settings or upscaler.defaults, options or JobOptions()
    job = prepare(upscaler, source, output, settings, options, progress)
    for note in job.notes:
        progress(note, 0, 0)
    return run_job(upscaler, job, progress)
