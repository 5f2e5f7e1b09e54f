"""Many videos, one after the other, possibly by several processes that share the output folder.

Each video is claimed before it is worked on, so that none is done twice; one whose process dies is
taken over by another, which goes on after its last finished segment. A video that fails is
reported, and the rest go on.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uav_jax.jobs.claims import take
from uav_jax.jobs.journal import discard
from uav_jax.jobs.video import Job, run_job
from uav_jax.pipeline.runner import Progress
from uav_jax.pipeline.upscale import Upscaler

WAIT_SECONDS = 2.0
"""Between two looks at what other processes hold."""

State = Literal["done", "already there", "failed", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one video."""

    source: Path
    state: State
    target: Path | None = None
    seconds: float = 0.0
    frames: int = 0
    message: str = ""

    def to_json(self) -> dict:
        """For the summary."""
        return {
            "source": str(self.source),
            "state": self.state,
            "target": self.target and str(self.target),
            "seconds": round(self.seconds, 3),
            "frames": self.frames,
            "message": self.message,
        }


def claimed(upscaler: Upscaler, job: Job, progress: Progress) -> Outcome:
    """Does a job unless it is done, or another process is at it. Raises what ``run_job`` raises."""
    source = job.source.path
    frames = job.source.frames
    claim = take(job.target.parent, job.target.name)
    if claim is None:
        return Outcome(source, "elsewhere", job.target)
    with claim:
        if job.is_done() and not job.options.overwrite:
            discard(job.target)  # left by a run that died between its result and its end
            return Outcome(source, "already there", job.target, frames=frames)
        started = time.monotonic()
        run_job(upscaler, job, progress)
        return Outcome(source, "done", job.target, time.monotonic() - started, frames)


def attempt(
    upscaler: Upscaler, source: Path, make: Callable[[Path], Job], progress: Progress
) -> Outcome:
    """``claimed``, with a failure as an outcome."""
    try:
        return claimed(upscaler, make(source), progress)
    except (ValueError, OSError, MemoryError) as error:
        return Outcome(source, "failed", message=str(error))


def run_folder(
    upscaler: Upscaler,
    sources: Sequence[Path],
    make: Callable[[Path], Job],
    progress: Progress,
    report: Callable[[Outcome], None],
) -> list[Outcome]:
    """Every video once; waits for those that other processes hold, and takes over what they leave.

    ``report`` is told of each outcome as it is known.
    """
    outcomes: dict[Path, Outcome] = {}
    pending = list(sources)
    while pending:
        left = []
        for source in pending:
            outcome = attempt(upscaler, source, make, progress)
            if outcome.state == "elsewhere":
                left.append(source)
                continue
            outcomes[source] = outcome
            report(outcome)
        if len(left) == len(pending):
            time.sleep(WAIT_SECONDS)
        pending = left
    return [outcomes[source] for source in sources]


def write_summary(outcomes: Sequence[Outcome], folder: Path) -> Path:
    """``summary.json`` in the folder of the results."""
    path = folder / "summary.json"
    temporary = path.with_name(".summary.json")
    temporary.write_text(json.dumps([o.to_json() for o in outcomes], indent=1) + "\n")
    temporary.replace(path)
    return path
