"""Command line of ``infer.py``."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from uav_jax.io.frames import FrameWriter, image_files, read_frames
from uav_jax.io.video import MP4_AUDIO, VIDEO_SUFFIXES, Clip, VideoWriter, read_video
from uav_jax.pipeline.settings import NOISES, UpscaleSettings
from uav_jax.pipeline.upscale import Upscaler, output_size, reduce_large, to_bytes, with_overrides
from uav_jax.provenance import result_record

LINE_SECONDS = 30
"""Between two lines of progress in a log file."""

EXAMPLES = """examples:
  infer.py -i clip.mp4 -o out
  infer.py -i clip.mp4 -o better.mp4 --prompt "a cat on a sofa, "
  infer.py -i old_films/ -o out -n 150 -g 9 --color_fix AdaIn --save_image
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
    p.add_argument(
        "-n",
        "--noise_level",
        type=int,
        metavar="0..350",
        help="low keeps to the input, high invents detail",
    )
    p.add_argument("-g", "--guidance_scale", type=float, help="how strongly prompts act; 1 is off")
    p.add_argument("-s", "--inference_steps", type=int, help="denoising steps")
    p.add_argument(
        "-p",
        "--propagation_steps",
        metavar="N,N,...",
        help="steps at which latents are propagated along optical flow, from 0",
    )
    p.add_argument("--prompt", help="what the video shows; else the text of CLIP.txt beside it")
    p.add_argument("--a_prompt", help="added to every prompt")
    p.add_argument("--n_prompt", help="the negative prompt")
    p.add_argument(
        "--use_video_vae",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="decode with the video decoder",
    )
    p.add_argument("--color_fix", help="None, AdaIn or Wavelet")
    p.add_argument(
        "--perform_tile",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="work in tiles (unasked from 384 x 384 pixels on)",
    )
    p.add_argument("--tile_size", type=int, help="input pixels a side, without context")
    p.add_argument("--save_image", action="store_true", help="also write the frames as PNG")
    p.add_argument("--save_suffix", default="", help="appended to the names of the results")
    p.add_argument("--seed", type=int, help="of the noise")
    p.add_argument("--noise", choices=NOISES, help="torch: the numbers PyTorch's CPU would draw")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--demo", action="store_true", help="degrade a known clip, restore it, compare")
    p.add_argument("--no_llava", action="store_true", help=argparse.SUPPRESS)  # we never caption
    return p


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


def result_name(source: Path, settings: UpscaleSettings, suffix: str) -> str:
    """The published naming: clip, noise level, guidance, steps, propagation steps."""
    name = f"{source.stem if source.is_file() else source.name}_n{settings.noise_level}"
    name += f"_g{settings.guidance_scale:g}_s{settings.inference_steps}"
    if settings.propagation_steps:
        name += "_p" + "_".join(map(str, settings.propagation_steps))
    return name + (f"_{suffix}" if suffix else "")


def _writable_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot create folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise ValueError(f"folder {folder} is not writable")
    return folder


def target_of(source: Path, output: Path, clip: Clip, settings, suffix: str) -> Path:
    """The file to write: ``output`` itself if it names a video, else a name in that folder."""
    if output.suffix.lower() in (".mp4", ".mkv", ".mov"):
        _writable_folder(output.parent)
        return output
    if output.is_file():
        raise ValueError(
            f"{output} is a file; give a folder, or a name ending in .mp4, .mkv or .mov"
        )
    plain = all(codec in MP4_AUDIO for codec in clip.audio_codecs)
    name = result_name(source, settings, suffix)
    return _writable_folder(output) / f"{name}{'.mp4' if plain else '.mkv'}"


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
    )


def with_sidecar(settings: UpscaleSettings, source: Path, given: str | None) -> UpscaleSettings:
    """The prompt of ``clip.txt`` beside ``clip.mp4``, unless one was given."""
    sidecar = source.with_suffix(".txt")
    if given is not None or not sidecar.is_file():
        return settings
    return replace(settings, prompt=sidecar.read_text(errors="replace").strip())


def upscale_file(
    upscaler: Upscaler,
    source: Path,
    output: Path,
    settings: UpscaleSettings,
    *,
    suffix: str = "",
    save_image: bool = False,
    console: Console,
) -> Path:
    """Upscales one clip to a video (and frames); returns the video's path.

    What it was made from goes into its metadata and into a JSON file beside it.
    """
    with _progress(console) as bars:
        loading = bars.add_task("loading", total=1)
        clip = read_frames(source) if source.is_dir() else read_video(source)
        bars.update(loading, completed=1)
        target = target_of(source, output, clip, settings, suffix)
        frames, reduced = reduce_large(clip.frames)
        if reduced:
            console.print(f"{source.name} is large: reduced 4 times before upscaling, as published")
        height, width = output_size(*frames.shape[1:3])
        record = result_record(source, upscaler.directory, asdict(settings), upscaler.dtype)
        writers: list[VideoWriter | FrameWriter] = []
        try:
            comment = json.dumps(record, separators=(",", ":"))
            writers.append(VideoWriter(target, clip, height, width, comment=comment))
            if save_image:
                writers.append(FrameWriter(target.with_suffix("")))
            for group in upscaler.upscale(frames, settings, progress=_updates(console, bars)):
                images = to_bytes(group)
                for writer in writers:
                    writer.write(images)
            for writer in writers:
                writer.close()
        except BaseException:
            for writer in writers:
                writer.abort()
            raise
        target.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    return target


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
        if not console.is_terminal and time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            console.print(f"{phase} {done}/{total}")
        if phase not in tasks:
            tasks[phase] = bars.add_task(phase, total=total)
        bars.update(tasks[phase], completed=done, total=total)

    return update


def keep_compiled_programs() -> None:
    """Lets later runs load what this one compiles; a folder that JAX was told of is respected."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(root / "uav_jax" / "xla"))


def run(options: argparse.Namespace, console: Console) -> int:
    """What ``infer.py`` does once its arguments are parsed."""
    keep_compiled_programs()
    if options.demo:
        from uav_jax.demo import run_demo

        run_demo(Path(options.output_path), options, console)
        return 0
    if options.input_path is None:
        raise ValueError("no input: give -i PATH, or --demo to see it work")
    sources = inputs(Path(options.input_path))
    output = Path(options.output_path)
    if len(sources) > 1 and output.suffix.lower() in (".mp4", ".mkv", ".mov"):
        raise ValueError(f"{len(sources)} videos cannot go into one file {output}; give a folder")
    upscaler = Upscaler.from_pretrained(options.model, dtype=jnp.dtype(options.dtype))
    settings = settings_from(options, upscaler.defaults)
    upscaler.check(settings)
    for source in sources:
        target = upscale_file(
            upscaler,
            source,
            output,
            with_sidecar(settings, source, options.prompt),
            suffix=options.save_suffix,
            save_image=options.save_image,
            console=console,
        )
        console.print(f"wrote {target}", soft_wrap=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, 2 after a mistake in arguments or input, 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        return run(options, console)
    except (ValueError, OSError) as error:
        console.print(f"infer.py: {error}", style="red", markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        console.print("infer.py: stopped; nothing half-written was left")
        return 130


if __name__ == "__main__":
    sys.exit(main())
