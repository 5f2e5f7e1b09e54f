"""From a source to a job: everything that can be known is checked before anything is computed."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from uav_jax.jobs.names import result_stem
from uav_jax.jobs.options import LARGE, JobOptions
from uav_jax.jobs.outputs import (
    UNFINISHED,
    Outputs,
    Sources,
    check_disk,
    check_folder,
    check_outputs,
    read_record,
)
from uav_jax.pipeline.plan import Plan
from uav_jax.pipeline.runner import Progress
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler, output_size
from uav_jax.provenance import environment, hash_once, hash_paths, hash_values
from uav_jax.shapes import UPSCALE
from uav_jax.video.codecs import (
    ALPHA_CODECS,
    CODECS,
    PNG,
    PNG_BYTES_PER_PIXEL,
    check_size,
    h264_holds,
    is_video_output,
    size_for_codec,
)
from uav_jax.video.containers import OUTPUT_SUFFIXES, VIDEO_SUFFIXES, shown
from uav_jax.video.images import IMAGE_SUFFIXES, WITH_ALPHA, check_picture
from uav_jax.video.probe import probe
from uav_jax.video.scenes import find_cuts
from uav_jax.video.source import SourceInfo
from uav_jax.video.streams import StreamPlan, automatic_suffix, plan_streams
from uav_jax.video.write import SegmentFormat

RESULT_VERSION = 1
"""Rises when the same settings give another result, so that old results are not taken for new."""

HIGHEST_TRAINED_GUIDANCE = 1.5
"""Of models that know certain phrases (``MAX_STRENGTH`` of their training)."""

DISK_MARGIN = 8
"""A disk is too small for certain if it holds less than this part of the estimate."""

Prompts = Callable[[SourceInfo, tuple[int, ...]], tuple[str, ...]]
"""A video and the first frames of its later scenes to a prompt for each scene."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A source that is understood: what it is, what becomes of it, and how."""

    source: SourceInfo
    outputs: Outputs
    settings: UpscaleSettings
    options: JobOptions  # with the codec chosen
    plan: Plan
    size: tuple[int, int]  # height and width of the result
    form: SegmentFormat
    streams: tuple[StreamPlan, ...] = ()
    record: dict = field(default_factory=dict)  # everything that the result depends on
    notes: tuple[str, ...] = ()  # what the user should know, a line each

    @property
    def target(self) -> Path:
        """The result."""
        return self.outputs.target

    @property
    def writes_folder(self) -> bool:
        """Whether the result is a folder of pictures."""
        return self.source.kind != "image" and self.options.output.codec == PNG

    @property
    def writes_picture(self) -> bool:
        """Whether the result is one picture."""
        return self.source.kind == "image"

    @property
    def disk(self) -> int:
        """Bytes that segments and result take together, estimated."""
        codec = CODECS.get(self.options.output.codec or "")
        each = codec.bytes_per_pixel if codec else PNG_BYTES_PER_PIXEL
        return int(2 * each * self.size[0] * self.size[1] * self.source.frames)

    @property
    def key(self) -> dict:
        """What the journal's segments depend on."""
        spans = [[s.scene, s.start, s.stop] for s in self.plan.segments]
        return {"key_sha256": self.record["key_sha256"], "segments": spans}

    def is_publishing(self) -> bool:
        """Whether a run of this job was killed while its finished files got their names."""
        known = read_record(self.target)
        same = known is not None and known["key_sha256"] == self.record["key_sha256"]
        return known is not None and same and UNFINISHED in known

    def is_done(self) -> bool:
        """Whether the result is there, made with these settings from this input."""
        known = read_record(self.target)
        if known is None or UNFINISHED in known:
            return False
        frames = self.outputs.frames
        there = self.target.exists() and (frames is None or frames.exists())
        return there and known["key_sha256"] == self.record["key_sha256"]


def result_size(source: SourceInfo, options: JobOptions) -> tuple[int, int]:
    """Returns height and width of the result; `ValueError` for more than 4 times the input."""
    low = options.model_size(source)
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
    if source.kind == "image":
        return height, width
    return size_for_codec(height, width, options.output.codec or "")


def scene_cuts(source: SourceInfo, wanted: str | tuple[int, ...]) -> tuple[int, ...]:
    """Returns the first frames of scenes but the first."""
    if isinstance(wanted, tuple):
        return wanted
    return tuple(find_cuts(source.changes)) if wanted == "auto" else ()


def check_output_name(output: Path) -> None:
    """Raises `ValueError` for names of media files that cannot be written."""
    suffix = output.suffix.lower()
    if suffix in VIDEO_SUFFIXES and suffix not in OUTPUT_SUFFIXES and not output.is_dir():
        raise ValueError(
            f"{shown(output)}: {suffix} files cannot be written; use "
            f"{', '.join(OUTPUT_SUFFIXES)}, or a folder"
        )
    if output.is_file() and suffix not in (*OUTPUT_SUFFIXES, *IMAGE_SUFFIXES):
        raise ValueError(
            f"{shown(output)} is a file; give a folder, or a name ending in "
            f"{', '.join(OUTPUT_SUFFIXES)} (for an image in {', '.join(IMAGE_SUFFIXES)})"
        )


def is_named_file(output: Path) -> bool:
    """Whether an output path names a file rather than a folder."""
    is_media = is_video_output(output) or output.suffix.lower() in IMAGE_SUFFIXES
    return is_media and not output.is_dir()


def _target(source: SourceInfo, output: Path, stem: str, options: JobOptions) -> Outputs:
    """What is written: `output` itself if it names a file, else `stem` in that folder."""
    check_output_name(output)
    named = is_named_file(output)
    chosen = options.output
    if source.kind == "image":
        if named and is_video_output(output):
            raise ValueError(
                f"{shown(source.path)} is an image, and {shown(output)} is a video; name the "
                f"result with one of {', '.join(IMAGE_SUFFIXES)}"
            )
        target = output if named else output / f"{stem}.png"
        return Outputs(target=target, named=named)
    if named and not is_video_output(output):
        raise ValueError(
            f"{shown(source.path)} is a video, and {shown(output)} is an image; give a folder and "
            "--codec png for its frames"
        )
    if chosen.codec == PNG:
        if named:
            raise ValueError(
                f"codec png writes a folder of frames, but the output is {shown(output)}"
            )
        return Outputs(target=output / stem)
    if named:
        chosen.check_container(output)
    target = output if named else output / f"{stem}{automatic_suffix(chosen, source)}"
    frames = target.with_name(target.stem) if chosen.images else None
    return Outputs(target=target, frames=frames, named=named)


def _comparison(outputs: Outputs, source: SourceInfo, size: tuple[int, int]) -> tuple[Path, ...]:
    """The page, and for videos the split-screen video, which is lossless where H.264 cannot be."""
    target = outputs.target
    stem = target.stem if is_named_file(target) else target.name
    suffix = ".mp4" if h264_holds(*size) else ".mkv"
    page = target.with_name(f"{stem}_compare.html")
    return (
        (page,) if source.kind == "image" else (page, target.with_name(f"{stem}_compare{suffix}"))
    )


def _check_target(job: Job, sources: Iterable[Sources]) -> None:
    """Refuses paths that must not be written, formats that cannot be, and full disks."""
    height, width = job.size
    folder = check_folder(job.target.parent)
    already_published = job.is_publishing() or (job.is_done() and not job.options.overwrite)
    check_outputs(
        job.outputs, sources, overwrite=job.options.overwrite, already_published=already_published
    )
    if job.writes_picture:
        check_picture(job.target, height, width)
    else:
        check_size(
            job.options.output, height, width, job.form.depth, job.form.alpha, job.source.rate
        )
    if not job.is_done():
        check_disk(folder, job.disk // DISK_MARGIN)


def _form(source: SourceInfo, options: JobOptions) -> SegmentFormat:
    output = options.output
    alpha = output.keeps_alpha(source)
    return SegmentFormat(
        output=output,
        depth=output.depth(source),
        alpha=alpha,
        rate=source.rate,
        colors=source.colors,
        sample_aspect_ratio=source.sample_aspect_ratio,
    )


def _notes(source: SourceInfo, options: JobOptions, form: SegmentFormat, streams) -> list[str]:
    notes = list(source.notes)
    if source.alpha and not form.alpha:
        notes.append(
            f"alpha: transparent areas are shown over black ({', '.join(ALPHA_CODECS)} keep it)"
        )
    for plan in streams:
        if plan.action == "drop":
            notes.append(f"{plan.stream} is left out: {plan.reason}")
        if plan.action == "convert":
            notes.append(f"{plan.stream} is converted to {plan.codec}")
    low = options.model_size(source)
    if low != (source.height, source.width):
        notes.append(f"the input is reduced to {low[1]}x{low[0]} first")
    elif source.height * source.width >= LARGE:
        notes.append("a large input is upscaled as it is; --pre_scale 0.5 reduces a soft one first")
    return notes


def _resolved(source: SourceInfo, output: Path, options: JobOptions) -> JobOptions:
    """The options with the codec chosen for this source."""
    if source.kind == "image":
        suffix = output.suffix.lower() if is_named_file(output) else ".png"
        if options.output.codec not in (None, PNG):
            raise ValueError(
                f"codec {options.output.codec} is for videos, and {shown(source.path)} is an image"
            )
        if options.output.alpha == "keep" and suffix not in WITH_ALPHA:
            raise ValueError(f"{suffix} files cannot hold alpha; use {', '.join(WITH_ALPHA)}")
        return replace(options, output=replace(options.output, codec=PNG))
    suffix = output.suffix.lower() if is_named_file(output) else ""
    return replace(options, output=options.output.resolved(source, suffix))


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
    name: str | None = None,
    taken: Sources | None = None,
    compare: bool = False,
) -> Job:
    """Reads a source once, plans its result and checks everything that can be known now.

    Args:
        upscaler: The model.
        path: A video, a folder of frames or a picture.
        output: A folder, or the name of a file.
        settings: Those of the model.
        options: Of reading and writing.
        progress: Told of frames that were read.
        prompts: What each scene shows, instead of the settings' prompt.
        source: What `probe` found, where the source was read already.
        name: What the result is called after; by default the source's name.
        taken: Other inputs of the run, which must not be written to either.
        compare: Whether a comparison will be written beside the result.

    Raises:
        ValueError: Every mistake in source, settings and names.
        MemoryError: Not even the smallest tile fits into memory.
    """
    upscaler.check(settings)
    source = source or probe(path, options.read, lambda count: progress("reading", count, 0))
    stem = result_stem(name or (path.name if path.is_dir() else path.stem), settings, options)
    options = _resolved(source, output, options)
    outputs, size = _target(source, output, stem, options), result_size(source, options)
    outputs = replace(outputs, comparison=_comparison(outputs, source, size) if compare else ())
    is_file = source.kind == "video" and options.output.codec != PNG
    suffix = outputs.target.suffix.lower()
    streams = tuple(plan_streams(source, suffix, named=outputs.named)) if is_file else ()
    form = _form(source, options)
    cuts = scene_cuts(source, options.scenes)
    settings = _with_prompts(settings, source, cuts, prompts)
    job = Job(
        source=source,
        outputs=outputs,
        settings=settings,
        options=options,
        plan=upscaler.plan(source.frames, *options.model_size(source), settings, cuts=cuts),
        size=size,
        form=form,
        streams=streams,
        notes=(*_notes(source, options, form, streams), *_model_notes(upscaler, settings)),
    )
    job = replace(job, record=_record(upscaler, job, cuts))
    own = Sources([path, *source.files])
    _check_target(job, [own] if taken is None else [own, taken])
    return job


def _with_prompts(
    settings: UpscaleSettings, source: SourceInfo, cuts: tuple[int, ...], prompts: Prompts | None
) -> UpscaleSettings:
    """The settings with what `prompts` says of the scenes."""
    if prompts is None:
        return settings
    found = prompts(source, cuts)
    same = len(set(found)) == 1
    return replace(settings, **({"prompt": found[0]} if same else {"scene_prompts": found}))


def _model_notes(upscaler: Upscaler, settings: UpscaleSettings) -> list[str]:
    """What a model that knows certain phrases does not do as the settings ask."""
    if upscaler.phrases is None:
        return []
    notes, known = [], ", ".join(map(repr, upscaler.phrases))
    if ignored := upscaler.ignored_phrases(settings):
        quoted = ", ".join(repr(shown(phrase)) for phrase in ignored)
        notes.append(f"ignored: {quoted}; this model reads only {known}, separated by commas")
    if settings.inference_steps != upscaler.defaults.inference_steps:
        notes.append(
            f"steps {settings.inference_steps}: this model was trained for "
            f"{upscaler.defaults.inference_steps}, others make worse results"
        )
    if settings.guidance_scale > HIGHEST_TRAINED_GUIDANCE:
        notes.append(
            f"guidance {settings.guidance_scale:g}: this model was trained for 1 to "
            f"{HIGHEST_TRAINED_GUIDANCE:g}"
        )
    return notes


def _encoder(job: Job) -> dict[str, str]:
    """What the encoder is told, defaults included, which may change."""
    output = job.options.output
    return {} if output.codec == PNG else output.encoder_options(job.form.alpha)


def _record(upscaler: Upscaler, job: Job, cuts: tuple[int, ...]) -> dict:
    """All that the result depends on, and beside it what it was made with."""
    settings = json.loads(json.dumps(asdict(job.settings)))
    key = {
        "format": RESULT_VERSION,
        "dtype": upscaler.dtype,
        "settings": settings,
        "settings_sha256": hash_values(settings),
        "weights_sha256": hash_once(upscaler.directory),
        "input_sha256": hash_paths(job.source.files or [job.source.path]),
        "output": job.options.to_json() | {"size": list(job.size), "encoder": _encoder(job)},
    }
    key = json.loads(json.dumps(key))
    return {
        **environment(),
        **key,
        "input": shown(job.source.path.name),
        "scene_cuts": list(cuts),
        "notes": list(job.notes),
        "outputs": [path.name for path in job.outputs.paths],
        "key_sha256": hash_values(key),
    }
