"""Many sources, one after the other, possibly by several processes that share the output folder.

Each source is claimed before it is worked on, so that none is done twice; one whose process dies is
taken over by another, which resumes after its last finished segment. A source that fails is
reported, and the others are still done.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uav_jax.jobs.claims import take
from uav_jax.jobs.inputs import Input
from uav_jax.jobs.journal import discard
from uav_jax.jobs.outputs import writable_folder
from uav_jax.jobs.video import Job, run_job
from uav_jax.pipeline.runner import Progress
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.runtime.files import write_text
from uav_jax.runtime.json_files import read_json
from uav_jax.video.containers import shown

WAIT_SECONDS = 2.0
"""Between two looks at what other processes hold."""

SUMMARY = "summary.json"
_SUMMARY_NAMES = {"source", "state", "target"}

State = Literal["done", "already there", "failed", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source."""

    source: Path
    state: State
    target: Path | None = None
    seconds: float = 0.0
    frames: int = 0
    message: str = ""

    def to_json(self) -> dict:
        """For the summary."""
        return {
            "source": shown(self.source),
            "state": self.state,
            "target": self.target and shown(self.target),
            "seconds": round(self.seconds, 3),
            "frames": self.frames,
            "message": self.message,
        }


def claimed(upscaler: Upscaler, job: Job, progress: Progress) -> Outcome:
    """Does a job unless it is done, or another process is at it. Raises what `run_job` raises."""
    source = job.source.path
    frames = job.source.frames
    claim = take(writable_folder(job.target.parent), job.target.name)
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
    upscaler: Upscaler, item: Input, make: Callable[[Input], Job], progress: Progress
) -> Outcome:
    """Returns what became of one source; every error but Ctrl-C is a failure of this one alone."""
    try:
        return claimed(upscaler, make(item), progress)
    except (ValueError, OSError, MemoryError) as error:
        return Outcome(item.path, "failed", message=one_line(error))
    except Exception as error:  # whatever one source does, the others are still done
        logging.getLogger(__name__).debug("%s failed", item.path, exc_info=True)
        return Outcome(item.path, "failed", message=f"{type(error).__name__}: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """Returns an error's message as one printable line; its type where it has none."""
    lines = str(error).strip().splitlines()
    return shown(lines[0]) if lines else type(error).__name__


def run_folder(
    upscaler: Upscaler,
    items: Sequence[Input],
    make: Callable[[Input], Job],
    progress: Progress,
    report: Callable[[Outcome], None],
) -> list[Outcome]:
    """Does every source once.

    Waits for those that other processes hold, and takes over what they leave.

    Args:
        upscaler: The model.
        items: The sources.
        make: Prepares the job of one.
        progress: Told of phases.
        report: Told of each outcome as it is known.
    """
    outcomes: dict[Input, Outcome] = {}
    pending = list(items)
    while pending:
        left = []
        for item in pending:
            outcome = attempt(upscaler, item, make, progress)
            if outcome.state == "elsewhere":
                left.append(item)
                continue
            outcomes[item] = outcome
            report(outcome)
        if len(left) == len(pending):
            time.sleep(WAIT_SECONDS)
        pending = left
    return [outcomes[item] for item in items]


def summary_path(folder: Path) -> Path:
    """Returns where the summary of a folder of results is written.

    Raises:
        ValueError: A file of that name is there that this program did not write.
    """
    path = folder / SUMMARY
    if path.exists() or path.is_symlink():
        try:
            rows = read_json(path)
            listed = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
            ours = bool(rows) and listed and all(set(row) >= _SUMMARY_NAMES for row in rows)
        except (OSError, ValueError):
            ours = False
        if not ours or path.is_symlink():
            raise ValueError(
                f"{shown(path)} exists and was not written by this program; move it away or give "
                "another -o"
            )
    return path


def write_summary(outcomes: Sequence[Outcome], folder: Path) -> Path:
    """Writes `summary.json` into the folder of the results; returns its path."""
    path = summary_path(writable_folder(folder))
    write_text(path, json.dumps([o.to_json() for o in outcomes], indent=1) + "\n")
    return path
