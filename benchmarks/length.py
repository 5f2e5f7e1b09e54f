"""Peak memory and time a frame of a long video against a short one.

    python benchmarks/length.py [--frames 60 600] [--json]

Runs ``infer.py`` on generated clips of the same size in processes of their own, start-up included,
after one run that fills the compilation cache.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np


def write_clip(path: Path, frames: int, height: int, width: int) -> None:
    """A moving gradient, H.264."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        y, x = np.mgrid[:height, :width]
        for t in range(frames):
            planes = [(x * 5 + t) % 256, (y * 7 + 2 * t) % 256, (x + y + t) % 256]
            image = np.stack(planes, -1).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(stream.encode())


CODE = """
import resource, sys
from uav_jax.cli import main
status = main(sys.argv[1:])
line = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
print(line.split()[1])
sys.exit(status)
"""


def measure(clip: Path, folder: Path) -> tuple[float, int]:
    """Seconds and peak bytes of one run."""
    command = [sys.executable, "-c", CODE, "-i", str(clip), "-o", str(folder), "--scenes", "off"]
    start = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - start, int(done.stdout.split()[-1]) * 1024


def main() -> None:
    """Prints a line for each length, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs=2, default=(60, 600))
    parser.add_argument("--size", type=int, nargs=2, default=(16, 24), metavar=("H", "W"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "warm.mp4", options.frames[0], *options.size)
        measure(folder / "warm.mp4", folder / "warm")
        for frames in options.frames:
            write_clip(folder / f"{frames}.mp4", frames, *options.size)
            seconds, peak = measure(folder / f"{frames}.mp4", folder / f"out{frames}")
            found[frames] = seconds / frames, peak
            print(f"{frames} frames: {seconds / frames:.3f} s a frame, {peak / 2**20:.0f} MB")
    (time_short, memory_short), (time_long, memory_long) = found.values()
    parts = {"time": time_long / time_short, "ratio": memory_long / memory_short}
    print(f"memory {parts['ratio']:.3f}x, time a frame {parts['time']:.3f}x")
    if options.json:
        print(json.dumps(parts))


if __name__ == "__main__":
    main()
