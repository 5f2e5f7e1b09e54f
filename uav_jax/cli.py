"""Command line of ``infer.py``."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

import jax.numpy as jnp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from uav_jax.diffusion.solvers import SOLVERS
from uav_jax.io.encode import CODECS, OutputFormat
from uav_jax.io.frames import image_files
from uav_jax.io.video import VIDEO_SUFFIXES
from uav_jax.jobs.captions import CAPTION_MODEL, load_captioner, scene_prompts
from uav_jax.jobs.folder import Outcome, claimed, run_folder, write_summary
from uav_jax.jobs.video import VIDEO_OUTPUTS, Job, JobOptions, Prompts, prepare
from uav_jax.pipeline.settings import NOISES, UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler, with_overrides
from uav_jax.programs import keep_compiled_programs

LINE_SECONDS = 30
"""Between two lines of progress in a log file."""

EXAMPLES = """examples:
  infer.py -i clip.mp4 -o out
  infer.py -i clip.mp4 -o better.mp4 --prompt "a cat on a sofa, "
  infer.py -i old_films/ -o out -n 150 -g 9 --color_fix AdaIn --save_image
  infer.py -i clip.mp4 -o out --height 1080 --codec h265 --plan
  infer.py --demo -o results
"""


def _steps(text: str) -> tuple[int, ...]:
    parts = [part for part in text.replace(",", " ").split() if part]
    try:
        return tuple(sorted({int(part) for part in parts}))
    except ValueError:
        raise ValueError(f"propagation steps {text!r}; expected numbers such as 24,26,28") from None


def parser() -> argparse.ArgumentParser:
    """The arguments: the published script's, and ours."""
    p = argparse.ArgumentParser(
        prog="infer.py",
        description="Upscales video 4 times with a text-guided, temporally consistent diffusion "
        "model. Settings that are not given come from the model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "-i", "--input_path", metavar="PATH", help="video, folder of frames or of videos"
    )
    p.add_argument(
        "-o",
        "--output_path",
        metavar="PATH",
        default="results",
        help="folder for the results, or one video file (.mp4, .mkv, .mov)",
    )
    p.add_argument("--model", default="default", help="'default' or a model directory")
    _add_sampling_arguments(p)
    _add_model_arguments(p)
    _add_output_arguments(p)
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument(
        "--weights",
        choices=("replicated", "fsdp"),
        default="replicated",
        help="over several devices: whole on each, or divided",
    )
    p.add_argument("--plan", action="store_true", help="say what would be done, and stop")
    p.add_argument("--demo", action="store_true", help="degrade a known clip, restore it, compare")
    p.add_argument("--no_llava", action="store_true", help=argparse.SUPPRESS)  # we never caption
    return p


def _add_sampling_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("sampling")
    g.add_argument(
        "-n",
        "--noise_level",
        type=int,
        metavar="0..350",
        help="low keeps to the input, high invents detail",
    )
    g.add_argument("-g", "--guidance_scale", type=float, help="how strongly prompts act; 1 is off")
    g.add_argument("-s", "--inference_steps", type=int, help="denoising steps")
    g.add_argument("--solver", choices=SOLVERS, help="dpmpp and unipc need fewer steps")
    g.add_argument(
        "--guidance_interval",
        type=int,
        nargs=2,
        metavar=("FROM", "TO"),
        help="timesteps (0 clean to 1000 noise) at which guidance runs",
    )
    g.add_argument(
        "--deep_reuse",
        type=int,
        metavar="N",
        help="run the U-Net's deep levels at every Nth step only: faster, less exact",
    )
    g.add_argument(
        "-p",
        "--propagation_steps",
        metavar="N,N,...",
        help="steps at which latents are propagated along optical flow, from 0",
    )
    g.add_argument("--seed", type=int, help="of the noise")
    g.add_argument("--noise", choices=NOISES, help="torch: the numbers PyTorch's CPU would draw")


def _add_model_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("prompts, decoder and tiles")
    g.add_argument("--prompt", help="what the video shows; else CLIP.txt beside it")
    g.add_argument(
        "--caption",
        choices=("off", "auto"),
        default="off",
        help="auto: a model describes each scene's first frame, kept in CLIP.txt",
    )
    g.add_argument("--caption_model", default=CAPTION_MODEL, help="directory or name of the model")
    g.add_argument("--a_prompt", help="added to every prompt")
    g.add_argument("--n_prompt", help="the negative prompt")
    g.add_argument(
        "--use_video_vae",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="decode with the video decoder",
    )
    g.add_argument("--color_fix", help="None, AdaIn or Wavelet")
    g.add_argument(
        "--perform_tile",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="work in tiles (unasked from 384 x 384 pixels on)",
    )
    g.add_argument("--tile_size", type=int, help="input pixels a side, without context")
    g.add_argument("--tiling", choices=("blended", "published"), help="published: hard edges")
    g.add_argument(
        "--decode_overlap",
        type=int,
        metavar="0|1",
        help="frames that neighbouring decode groups blend",
    )


def _add_output_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("result")
    g.add_argument("--codec", default="h264", help=f"{', '.join(CODECS)}, or png (a folder)")
    g.add_argument("--crf", type=int, help="quality of h264, h265, av1: 0 (lossless) to 51")
    g.add_argument("--bits", type=int, choices=(8, 10), help="of a colour; else as the input")
    g.add_argument("--scale", type=int, default=4, metavar="2|3|4", help="times the input's size")
    g.add_argument("--height", type=int, help="of the result in pixels, instead of a scale")
    g.add_argument(
        "--scenes",
        default="auto",
        metavar="auto|off|N,N,...",
        help="where scenes begin, which nothing crosses",
    )
    g.add_argument("--published", action="store_true", help="truncate colours as published")
    g.add_argument("--overwrite", action="store_true", help="replace results that exist")
    g.add_argument("--compare", action="store_true", help="also a video and a page of both")
    g.add_argument("--save_image", action="store_true", help="also write the frames as PNG")
    g.add_argument("--save_suffix", default="", help="appended to the names of the results")


def inputs(path: Path) -> list[Path]:
    """The clips that an input path stands for: itself, or the videos of a folder."""
    if path.is_dir() and not image_files(path):
        videos = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        if not videos:
            raise ValueError(f"{path} holds no videos and no images")
        return videos
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    return [path]


def settings_from(options: argparse.Namespace, defaults: UpscaleSettings) -> UpscaleSettings:
    """The model's defaults with everything that was given on the command line."""
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


def prompts_of(options: argparse.Namespace) -> Prompts | None:
    """Where prompts come from: the command line (None), files beside the videos, or a model."""
    if options.prompt is not None:
        return None
    name = options.caption_model
    load = (lambda: _captioner(name)) if options.caption == "auto" else None
    return partial(scene_prompts, captioner=load)


_captioner = lru_cache(load_captioner)


def job_options(options: argparse.Namespace) -> JobOptions:
    """What the command line says of the result."""
    scenes = options.scenes
    if scenes not in ("auto", "off"):
        with suppress(ValueError):  # JobOptions says what is accepted
            scenes = tuple(int(part) for part in scenes.replace(",", " ").split())
    return JobOptions(
        output=OutputFormat(
            codec=options.codec, crf=options.crf, bits=options.bits, images=options.save_image
        ),
        scale=options.scale,
        height=options.height,
        scenes=scenes,
        published=options.published,
        overwrite=options.overwrite,
        suffix=options.save_suffix,
    )


def make_job(
    upscaler: Upscaler, options: argparse.Namespace, source: Path, output: Path, progress
) -> Job:
    """The job that the options mean for one video."""
    settings = settings_from(options, upscaler.defaults)
    prompts = prompts_of(options)
    return prepare(
        upscaler, source, output, settings, job_options(options), progress, prompts=prompts
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    )


def _updates(console: Console, bars: Progress):
    """Moves the bars; where there is no terminal to draw them, prints a line now and then."""
    tasks: dict = {}
    last = time.monotonic()

    def update(phase: str, done: int, total: int) -> None:
        nonlocal last
        if not done and not total:  # a message
            console.print(phase, soft_wrap=True, markup=False)
            return
        if not console.is_terminal and time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            console.print(f"{phase} {done}/{total or '?'}")
        if phase not in tasks:
            tasks[phase] = bars.add_task(phase, total=total or None)
        bars.update(tasks[phase], completed=done, total=total or None)

    return update


def one(upscaler: Upscaler, options: argparse.Namespace, source: Path, console: Console) -> int:
    """Upscales one video, or says what would be done."""
    with _progress(console) as bars:
        progress = _updates(console, bars)
        job = make_job(upscaler, options, source, Path(options.output_path), progress)
        if options.plan:
            bars.stop()
            _print_plan(upscaler, job)
            return 0
        outcome = claimed(upscaler, job, progress)
    if outcome.state == "elsewhere":
        raise ValueError(f"another process is working on {outcome.target}")
    _report(console, outcome)
    if options.compare:
        from uav_jax.compare.write import compare

        video, page = compare(job.source, job.target, job.record)
        console.print(f"wrote {video} and {page}", soft_wrap=True, markup=False)
    return 0


def _print_plan(upscaler: Upscaler, job: Job) -> None:
    from uav_jax.jobs.estimate import describe

    print(describe(upscaler, job))


def _report(console: Console, outcome: Outcome) -> None:
    if outcome.state == "failed":
        console.print(f"failed {outcome.source}: {outcome.message}", style="red", soft_wrap=True)
    else:
        state = "wrote" if outcome.state == "done" else "already there:"
        console.print(f"{state} {outcome.target}", soft_wrap=True, markup=False)


def many(
    upscaler: Upscaler, options: argparse.Namespace, sources: list[Path], console: Console
) -> int:
    """Upscales a folder of videos; status 1 if any failed."""
    output = Path(options.output_path)
    if options.compare:
        raise ValueError(f"--compare is for one video, and there are {len(sources)}")
    if output.suffix.lower() in VIDEO_OUTPUTS:
        raise ValueError(f"{len(sources)} videos cannot go into one file {output}; give a folder")
    with _progress(console) as bars:
        progress = _updates(console, bars)
        make = partial(_job_of, upscaler, options, output, progress)
        if options.plan:
            bars.stop()
            for source in sources:
                _print_plan(upscaler, make(source))
            return 0
        report = partial(_report, console)
        outcomes = run_folder(upscaler, sources, make, progress, report)
    table = Table(title=str(output))
    for column in ("video", "state", "frames", "s a frame"):
        table.add_column(column)
    for o in outcomes:
        rate = f"{o.seconds / o.frames:.2f}" if o.state == "done" else ""
        table.add_row(o.source.name, o.state, str(o.frames or ""), rate)
    console.print(table)
    console.print(f"wrote {write_summary(outcomes, output)}", soft_wrap=True, markup=False)
    return int(any(o.state == "failed" for o in outcomes))


def _job_of(upscaler: Upscaler, options, output: Path, progress, source: Path) -> Job:
    return make_job(upscaler, options, source, output, progress)


def run(options: argparse.Namespace, console: Console) -> int:
    """What ``infer.py`` does once its arguments are parsed."""
    keep_compiled_programs()
    if options.demo:
        from uav_jax.demo import run_demo

        run_demo(Path(options.output_path), options, console)
        return 0
    if options.input_path is None:
        raise ValueError("no input: give -i PATH, or --demo to see it work")
    job_options(options)
    path = Path(options.input_path)
    sources = inputs(path)
    upscaler = Upscaler.from_pretrained(
        options.model, dtype=jnp.dtype(options.dtype), weights=options.weights
    )
    upscaler.check(settings_from(options, upscaler.defaults))
    if sources == [path]:
        return one(upscaler, options, path, console)
    return many(upscaler, options, sources, console)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 if a video of several failed, 2 after a mistake, 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        return run(options, console)
    except (ValueError, OSError, MemoryError) as error:
        console.print(f"infer.py: {error}", style="red", markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        console.print("infer.py: stopped; the same command goes on after the last finished segment")
        return 130


if __name__ == "__main__":
    sys.exit(main())
