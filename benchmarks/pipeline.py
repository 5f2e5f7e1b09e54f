"""The default model on a clip, from a fresh process, beside Real-ESRGAN x4plus on the same cores.

    python benchmarks/pipeline.py [--json]

16 frames of 160 x 88 to 640 x 352 with default settings through ``infer.py``: first with an empty
cache of programs, then again. The peer runs through ncnn (extra "peers"). Memory is the largest of
our process.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import parse, report

from uav_jax.demo import demo_clip
from uav_jax.evaluation.peers import load_peer
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.read import read_frames
from uav_jax.video.source import DEFAULT_RATE
from uav_jax.video.write import write_video

FRAMES, HEIGHT, WIDTH = 16, 88, 160


def make_clip(folder: Path) -> Path:
    """A pan over a photograph, losslessly."""
    from PIL import Image

    _, small = demo_clip()
    picture = Image.fromarray(small[0]).resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC)
    wide = np.asarray(picture)
    frames = [wide[t : t + HEIGHT, 2 * t : 2 * t + WIDTH] for t in range(FRAMES)]
    write_video(
        folder / "clip.mkv", np.stack(frames), DEFAULT_RATE, output=OutputFormat(codec="ffv1")
    )
    return folder / "clip.mkv"


def timed(clip: Path, out: Path, cache: Path) -> float:
    """Seconds of a whole process."""
    command = [sys.executable, "-m", "uav_jax.cli", "-i", str(clip), "-o", str(out)]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Prints seconds, memory and the ratio of times a frame."""
    options = parse(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_clip(folder)
        cold = timed(clip, folder / "cold", folder / "cache")
        warm = timed(clip, folder / "warm", folder / "cache")
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        upscale, frame = load_peer("realesrgan-x4plus"), read_frames(clip)[0]
        upscale(frame)
        start = time.perf_counter()
        for _ in range(options.repeats):
            upscale(frame)
        peer = (time.perf_counter() - start) / options.repeats
    report(
        options,
        {
            "first run s": cold,
            "next run s": warm,
            "s a frame": warm / FRAMES,
            "largest memory GB": memory / 1e9,
            "Real-ESRGAN x4plus s a frame": peer,
            "ratio": warm / FRAMES / peer,
        },
    )


if __name__ == "__main__":
    main()
