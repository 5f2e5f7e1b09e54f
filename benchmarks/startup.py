"""From the start of a process to its first denoising step, with the cache of programs warm.

    python benchmarks/startup.py [--json]

``upscale_video`` on 8 frames of 48 x 32 pixels with the default model in a fresh process: until the
first call of the U-Net is under way, and until the first frames are decoded. The ratio is the first
time over ten seconds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from measure import parse, report
from PIL import Image

PROGRAM = """
import json, sys, time
from pathlib import Path
start = float(sys.argv[3])
from uav_jax import Upscaler, upscale_video
from uav_jax.programs import keep_compiled_programs
keep_compiled_programs()
seen = {}
def progress(phase, done, total):
    if total and (phase, done > 0) not in seen:
        seen[phase, done > 0] = time.time() - start
upscale_video(Upscaler.from_pretrained(), Path(sys.argv[1]), Path(sys.argv[2]), progress=progress)
print(json.dumps([seen["denoising", False], seen["decoding", True], time.time() - start]))
"""


def main() -> None:
    """Prints the medians."""
    options = parse(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "frames").mkdir()
        for t in range(8):
            noise = np.random.default_rng(t).integers(0, 256, (32, 48, 3), np.uint8)
            Image.fromarray(noise).save(folder / "frames" / f"{t}.png")
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}

        def run(number: int) -> list[float]:
            arguments = [str(folder / "frames"), str(folder / f"out{number}"), str(time.time())]
            command = [sys.executable, "-c", PROGRAM, *arguments]
            done = subprocess.run(command, env=environment, capture_output=True, check=True)
            return json.loads(done.stdout)

        cold, *warm = (run(number) for number in range(options.repeats + 1))
    first, decoded, whole = (median(times) for times in zip(*warm, strict=True))
    report(
        options,
        {
            "cold: whole run s": cold[2],
            "first denoising step s": first,
            "first frames s": decoded,
            "whole run s": whole,
            "ratio": first / 10,
        },
    )


if __name__ == "__main__":
    main()
