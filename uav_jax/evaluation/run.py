"""One pass over a data set: every method's frames beside the truth's, scored as they come."""

import logging
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uav_jax.evaluation.dataset import Dataset, EvalClip, Frame, UnreadableClip
from uav_jax.evaluation.methods import Method
from uav_jax.evaluation.scores import PerFrame, ResultScores, Scorer, mean_scores

Progress = Callable[[str, int, int], None]
"""``progress(clip, frames done, frames)``."""

Report = dict[str, dict]
"""``{method: {"mean": scores, "clips": {clip: scores}, "about": ...}}``."""

_log = logging.getLogger(__name__)

TRUTH = "truth"
WHOLE = 900_000
"""Pixels up to which a picture in the report is the whole frame; of larger ones the middle."""


@dataclass(slots=True)
class Pictures:
    """What the report shows of a clip: its middle frame, and one row over time, by version."""

    middle: dict[str, Frame] = field(default_factory=dict)
    rows: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, version: str, frame: Frame, index: int, frames: int) -> None:
        """Keeps what is needed of frame ``index``."""
        self.rows.setdefault(version, []).append(frame[frame.shape[0] // 2].copy())
        if index == frames // 2:
            self.middle[version] = _middle(frame).copy()

    def slice(self, version: str) -> Frame:
        """The x-t slice: time downwards, the frame's middle row across."""
        return np.stack(self.rows[version])


def _middle(frame: Frame) -> Frame:
    H, W = frame.shape[:2]
    shrink = min(1.0, (WHOLE / (H * W)) ** 0.5)
    h, w = int(H * shrink), int(W * shrink)
    top, left = (H - h) // 2, (W - w) // 2
    return frame[top : top + h, left : left + w]


@dataclass(slots=True)
class ClipResult:
    """Scores of every method on one clip, frame by frame, pictures, and what went wrong."""

    per_frame: dict[str, PerFrame]
    means: dict[str, dict[str, float]]
    pictures: Pictures
    failures: dict[str, str]


class _Cost:
    """Time that a method's frames took, and the memory that the process grew to meanwhile."""

    def __init__(self):
        self.seconds, self.frames = 0.0, 0
        self.bytes: int | None = None

    def next(self, frames: Iterator[Frame]) -> Frame | None:
        before = _restart_peak()
        start = time.monotonic()
        frame = next(frames, None)
        if frame is not None:
            self.seconds += time.monotonic() - start
            self.frames += 1
            if before is not None:
                self.bytes = max(self.bytes or 0, _status("VmHWM") - before)
        return frame

    def scores(self) -> dict[str, float]:
        costs = {"seconds_per_frame": self.seconds / max(self.frames, 1)}
        return costs if self.bytes is None else costs | {"memory_mb": self.bytes / 2**20}


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _restart_peak() -> int | None:
    """Memory in use now, from which the peak counts anew; None where the system cannot tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def score_clip(
    clip: EvalClip, methods: Mapping[str, Method], scorer: Scorer, progress: Progress
) -> ClipResult:
    """Runs every method on a clip and scores it; holds a few frames of each at a time.

    A method whose frames do not fit is left out and named; ``ValueError`` where the truth does not.
    """
    streams = {name: iter(method.run(clip)) for name, method in methods.items()}
    truths = clip.truth() if clip.truth_path else None
    scores = {name: ResultScores(scorer) for name in methods}
    costs = {name: _Cost() for name in methods}
    pictures, failures = Pictures(), {}
    T, before = len(clip.low_res), None

    def next_frame(name: str, expected: bool) -> Frame | None:
        try:
            frame = costs[name].next(streams[name])
            if (frame is None) == expected:
                raise ValueError(f"{name} gives {'less' if expected else 'more'} than {T} frames")
        except ValueError as error:
            failures[name] = f"{clip.name}: {error}"
            del streams[name], scores[name]
            return None
        return frame

    for index in range(T):
        truth = next(truths) if truths else None
        motion = scorer.truth_motion(before, truth)
        if truth is not None:
            pictures.add(TRUTH, truth, index, T)
        for name in list(streams):
            frame = next_frame(name, expected=True)
            if frame is not None:
                scores[name].add(frame, truth, motion)
                pictures.add(name, frame, index, T)
        before = truth
        progress(clip.name, index + 1, T)
    if truths:
        next(truths, None)  # lets a truth that is too long complain
    for name in list(streams):
        next_frame(name, expected=False)
    means = {name: s.means() | costs[name].scores() for name, s in scores.items()}
    per_frame = {name: s.per_frame for name, s in scores.items()}
    return ClipResult(per_frame, means, pictures, failures)


def evaluate(
    dataset: Dataset, methods: Mapping[str, Method], scorer: Scorer, progress: Progress
) -> tuple[Report, dict[str, ClipResult]]:
    """Every method on every clip; the report holds those that did not fail on any.

    Clips that cannot be read are passed over, and a warning names them. ``ValueError`` where a clip
    does not fit, or where no clip or no method is left.
    """
    clips: dict[str, ClipResult] = {}
    unread: list[str] = []
    for name in dataset.names:
        try:
            clips[name] = score_clip(dataset.clip(name), methods, scorer, progress)
        except UnreadableClip as error:
            unread.append(str(error))
            _log.warning("passed over clip %s (%d so far): %s", name, len(unread), error)
    if not clips:
        raise ValueError(f"none of {len(unread)} clips can be read, the last because: {unread[-1]}")
    failures = {name: text for result in clips.values() for name, text in result.failures.items()}
    if len(failures) == len(methods):
        raise ValueError(next(iter(failures.values())))
    report: Report = {}
    for name in (name for name in methods if name not in failures):
        of_clips = {clip: result.means[name] for clip, result in clips.items()}
        about = methods[name].about | ({"passed_over": unread} if unread else {})
        report[name] = {"mean": mean_scores(of_clips), "clips": of_clips, "about": about}
    return report, clips
