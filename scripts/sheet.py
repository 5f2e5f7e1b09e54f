"""A contact sheet: parts of clips by bicubic, peers and a model, beside the truth if there is one.

    python -m scripts.sheet OUT.jpg [--data CLIPS] [--videos FILE ...] [--model default]

``CLIPS`` is a data set that ``evaluate.py`` reads, such as ``scripts.held_out_clips`` makes. Videos
are upscaled 4 times from frame ``--frame`` on. Needs the extra "peers".
"""

import argparse
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from rich.progress import track

from uav_jax.demo import bicubic
from uav_jax.evaluation.dataset import Dataset
from uav_jax.evaluation.peers import load_peer
from uav_jax.pipeline.upscale import Upscaler, to_bytes
from uav_jax.video.read import stream_frames

SHOWN = ("realesr-animevideov3", "realesrgan-x4plus")
FRAMES, SHOWN_FRAME = 6, 3
"""Frames that the model sees of a clip, and which of them is shown."""
WIDTH, HEIGHT, MARGIN = 300, 220, 18

Sample = tuple[str, np.ndarray, np.ndarray | None]
"""Name, low-resolution frames, and the truth of the shown one."""


def clips(directory: Path, kind: str) -> Iterator[Sample]:
    """Those of a data set."""
    dataset = Dataset(directory, kind)
    for name in dataset.names:
        clip = dataset.clip(name)
        first = max(0, len(clip.low_res) // 2 - SHOWN_FRAME)
        truth = None
        if clip.truth_path is not None:
            truth = next(islice(clip.truth(), first + SHOWN_FRAME, None))
        yield name, clip.low_res[first : first + FRAMES], truth


def videos(paths: list[Path], first: int) -> Iterator[Sample]:
    """Frames of videos."""
    for path in paths:
        yield path.stem, np.stack(list(islice(stream_frames(path), first, first + FRAMES))), None


def most_detailed(frame: np.ndarray, width: int, height: int) -> tuple[int, int]:
    """Top and left of the part whose neighbouring pixels differ most."""
    differences = np.abs(np.diff(frame.astype(np.float32).mean(-1), axis=1))
    best, at = -1.0, (0, 0)
    for top in range(0, max(1, frame.shape[0] - height + 1), 8):
        for left in range(0, max(1, frame.shape[1] - width + 1), 8):
            detail = differences[top : top + height, left : left + width].mean()
            if detail > best:
                best, at = detail, (top, left)
    return at


def row(sample: Sample, upscaler: Upscaler, peers: dict[str, Callable]) -> Image.Image:
    """The same part by every method."""
    name, low_res, truth = sample
    number = min(SHOWN_FRAME, len(low_res) - 1)
    shown = low_res[number]
    pictures = {"bicubic": bicubic(shown[None])[0]}
    pictures |= {peer: upscale(shown) for peer, upscale in peers.items()}
    pictures["uav_jax"] = to_bytes(np.concatenate(list(upscaler.upscale(low_res))))[number]
    if truth is not None:
        pictures["truth"] = truth
    top, left = (4 * v for v in most_detailed(shown, WIDTH // 4, HEIGHT // 4))
    sheet = Image.new("RGB", ((len(SHOWN) + 3) * WIDTH, HEIGHT + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (method, picture) in enumerate(pictures.items()):
        part = Image.fromarray(picture[top : top + HEIGHT, left : left + WIDTH])
        sheet.paste(part, (column * WIDTH, MARGIN))
        draw.text((column * WIDTH + 4, 3), f"{name}: {method}", "black")
    return sheet


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description="Makes a contact sheet.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--kind", default="real")
    parser.add_argument("--videos", type=Path, nargs="*", default=[])
    parser.add_argument("--frame", type=int, default=12)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    upscaler = Upscaler.from_pretrained(options.model)
    peers = {name: load_peer(name) for name in SHOWN}
    samples = list(clips(options.data, options.kind)) if options.data else []
    samples += videos(options.videos, options.frame)
    if not samples:
        parser.error("give --data or --videos")
    rows = [row(sample, upscaler, peers) for sample in track(samples, "clips")]
    sheet = Image.new("RGB", (rows[0].width, sum(r.height for r in rows)), "white")
    for number, made in enumerate(rows):
        sheet.paste(made, (0, number * made.height))
    sheet.save(options.out, quality=90, optimize=True)


if __name__ == "__main__":
    main()
