"""What the options of the command line mean: settings, reading and writing, prompts."""

import argparse
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache, partial

from uav_jax.jobs.captions import load_captioner, scene_prompts
from uav_jax.jobs.options import JobOptions
from uav_jax.jobs.prepare import Prompts
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import with_overrides
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.limits import COMMAND_LINE_LIMITS, NO_LIMITS
from uav_jax.video.position import Part, Position
from uav_jax.video.source import ReadOptions


def _steps(text: str) -> tuple[int, ...]:
    parts = [part for part in text.replace(",", " ").split() if part]
    try:
        return tuple(sorted({int(part) for part in parts}))
    except ValueError:
        raise ValueError(f"propagation steps {text!r}; expected numbers such as 24,26,28") from None


def settings_from(options: argparse.Namespace, defaults: UpscaleSettings) -> UpscaleSettings:
    """Returns the model's defaults with everything that was given on the command line.

    Raises:
        ValueError: A value that is not possible.
    """
    steps = options.propagation_steps
    return with_overrides(
        defaults,
        prompt=options.prompt,
        a_prompt=options.a_prompt,
        n_prompt=options.n_prompt,
        noise_level=options.noise_level,
        guidance_scale=options.guidance_scale,
        inference_steps=options.inference_steps,
        propagation_steps=None if steps is None else _steps(steps),
        use_video_vae=options.use_video_vae,
        color_fix=options.color_fix and options.color_fix.lower(),
        perform_tile=options.perform_tile,
        tile_size=options.tile_size,
        seed=options.seed,
        noise=options.noise,
        tiling=options.tiling,
        solver=options.solver,
        guidance_interval=options.guidance_interval and tuple(options.guidance_interval),
        deep_reuse=options.deep_reuse,
        decode_overlap=options.decode_overlap,
    )


def prompts_of(options: argparse.Namespace, announce=lambda line: None) -> Prompts | None:
    """Returns where prompts come from: files beside the videos or a model; None: the command line.

    Args:
        options: Of the command line.
        announce: Told in one line where the prompts of a video come from.
    """
    if options.prompt is not None:
        return None
    name = options.caption_model
    wanted = options.caption == "auto" and not options.plan  # a plan writes nothing
    load = (lambda: _captioner(name)) if wanted else None
    return partial(scene_prompts, captioner=load, announce=announce)


_captioner = lru_cache(load_captioner)


def _rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        return Fraction(text).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"fps {text!r}; expected a number such as 24 or 24000/1001") from None


def read_options(options: argparse.Namespace) -> ReadOptions:
    """Returns how sources are read.

    Raises:
        ValueError: A value that is not possible.
    """
    start, stop = (text and Position.parse(text) for text in (options.start, options.stop))
    return ReadOptions(
        hdr=options.hdr,
        deinterlace=options.deinterlace,
        allow_truncated=options.allow_truncated,
        part=Part(start or None, stop or None),
        rate=_rate(options.fps),
        limits=NO_LIMITS if options.no_limits else COMMAND_LINE_LIMITS,
    )


def job_options(options: argparse.Namespace) -> JobOptions:
    """Returns what the command line says of reading and writing.

    Raises:
        ValueError: A value that is not possible.
    """
    scenes = options.scenes
    if scenes not in ("auto", "off"):
        with suppress(ValueError):  # JobOptions says what is accepted
            scenes = tuple(int(part) for part in scenes.replace(",", " ").split())
    return JobOptions(
        read=read_options(options),
        output=OutputFormat(
            codec=options.codec,
            crf=options.crf,
            preset=options.preset,
            bits=options.bits,
            images=options.save_image,
            alpha=options.alpha,
        ),
        scale=options.scale,
        height=options.height,
        pre_scale=options.pre_scale,
        scenes=scenes,
        published=options.published,
        overwrite=options.overwrite,
        suffix=options.save_suffix,
    )
