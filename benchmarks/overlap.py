"""Does the device wait for the codecs? What each thread does while a video is upscaled.

    python benchmarks/overlap.py [--picture docs/overlap.png] [--json]

Upscales a generated clip of several segments with the default model, in this process, and looks at
its three threads every few milliseconds: reading the next segment, computing, writing what is
finished. The computing thread is idle where it waits for one of the others. Start-up and the first
segment's reading, before which nothing can be computed, are not counted.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from length import write_clip
from measure import parse, report

from uav_jax.cli import main as infer

FRAMES, HEIGHT, WIDTH = 96, 32, 48
PERIOD = 0.005
WAITS = {"_handed_over": "waits for writing", "prefetched": "waits for reading"}
"""Functions in which the computing thread does nothing but wait."""

WORKING = {"read": "_input", "write": "encode_segment"}
"""The functions that the two other threads work in."""


def functions(frame) -> list[str]:
    """Names of a thread's stack, innermost first."""
    names = []
    while frame:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def activity(thread: threading.Thread, names: list[str]) -> tuple[str, str] | None:
    """(row of the picture, what it does); None where it does nothing of interest."""
    if thread is threading.main_thread():
        if "run_job" not in names:
            return None
        inner = next((n for n in names if n in WAITS or n == "segment"), "")
        return ("compute", WAITS.get(inner, "computes"))
    kind = thread.name.partition("_")[0]
    if kind in WORKING and WORKING[kind] in names and "_taken" not in names:
        return (kind, "works")
    return None


class Watcher(threading.Thread):
    """Samples (time, row, what) of every thread until it is told to stop."""

    def __init__(self):
        super().__init__(daemon=True)
        self.samples: list[tuple[float, str, str]] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        """Looks every ``PERIOD`` seconds."""
        while not self.stopped.wait(PERIOD):
            now, stacks = time.monotonic(), sys._current_frames()
            for thread in threading.enumerate():
                found = thread.ident in stacks and activity(thread, functions(stacks[thread.ident]))
                if found:
                    self.samples.append((now, *found))


def draw(samples: list[tuple[float, str, str]], path: Path) -> None:
    """A row for each thread, a mark for each sample."""
    from matplotlib.figure import Figure

    start = samples[0][0]
    rows = {"read": 2, "compute": 1, "write": 0}
    figure = Figure(figsize=(9, 2.2), layout="constrained")
    axes = figure.subplots()
    for what in sorted({w for _, _, w in samples}):
        chosen = [(t - start, rows[row]) for t, row, w in samples if w == what]
        axes.plot(*np.array(chosen).T, "|", markersize=22, label=what)
    axes.set(yticks=list(rows.values()), yticklabels=list(rows), xlabel="seconds", ylim=(-0.6, 2.6))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=4, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Prints how much of the time the computing thread was idle."""
    options = parse(__doc__, picture=None)
    watcher = Watcher()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, FRAMES, HEIGHT, WIDTH)
        watcher.start()
        status = infer(["-i", str(clip), "-o", folder + "/out", "--scenes", "off"])
        watcher.stopped.set()
        watcher.join()
    assert status == 0
    first = next(t for t, row, what in watcher.samples if (row, what) == ("compute", "computes"))
    steady = [sample for sample in watcher.samples if sample[0] >= first]
    compute = [what for _, row, what in steady if row == "compute"]
    shares = {what: compute.count(what) / len(compute) for what in ("computes", *WAITS.values())}
    works = {f"{k} works": sum(s[1] == k for s in steady) / len(compute) for k in WORKING}
    if options.picture:
        draw(steady, Path(options.picture))
    report(options, {**shares, **works, "ratio": 1 - shares["computes"]})


if __name__ == "__main__":
    main()
