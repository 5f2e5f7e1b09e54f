"""What a run tells: console, ``metrics.jsonl``, TensorBoard, sample pictures, curves."""

import json
import time
from collections import deque
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
from jaxtyping import UInt8
from PIL import Image
from rich.console import Console

from uav_jax.runtime.files import write_text
from uav_jax.training.config import TrainConfig
from uav_jax.training.plots import parse_line, write_curves
from uav_jax.training.step import Metrics
from uav_jax.video.write import write_video

RECENT = 100
"""Losses whose median tells whether a run diverges; the first ones are never judged."""

SAMPLE_RATE = Fraction(8)
"""Frames a second of sample videos."""


class Watchman:
    """Looks at every step's loss, in groups so that the device is not waited for.

    Raises ``FloatingPointError`` at the first step whose loss or gradient is not finite, or whose
    loss is ``divergence`` times the recent median.
    """

    def __init__(self, divergence: float):
        self._divergence = divergence
        self._pending: list[tuple[int, np.ndarray, Metrics]] = []
        self._recent: deque[float] = deque(maxlen=RECENT)

    def note(self, step: int, index: np.ndarray, metrics: Metrics) -> None:
        """Remembers a step's metrics and the records of its batch."""
        self._pending.append((step, index, metrics))

    def check(self, last_checkpoint: int | None) -> None:
        """Judges what has been noted since the last call."""
        pending, self._pending = self._pending, []
        for step, index, metrics in pending:
            loss, norm = float(metrics["loss"]), float(metrics["grad_norm"])
            problem = None
            if not np.isfinite(loss) or not np.isfinite(norm):
                problem = f"loss is {loss} and gradient norm {norm}"
            elif len(self._recent) == RECENT:
                usual = float(np.median(self._recent))
                if loss > self._divergence * usual > 0:
                    problem = f"loss is {loss:.4g}, usually {usual:.4g}"
            if problem:
                raise FloatingPointError(
                    f"{problem} at step {step}; records {index.tolist()}; "
                    f"last good checkpoint: {last_checkpoint or 'none'}"
                )
            self._recent.append(loss)


class RunLog:
    """Writes the files of one run; resumed at ``step``, later lines of a lost run are dropped."""

    def __init__(self, config: TrainConfig, workdir: Path, step: int, console: Console):
        from tensorboardX import SummaryWriter

        self._config, self._workdir, self._console = config, workdir, console
        path = workdir / "metrics.jsonl"
        trim(path, step)
        self._lines = path.open("a")
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)
        self._last = (time.monotonic(), step)
        self.step_flops: float | None = None

    def metrics(self, step: int, metrics: Metrics, learning_rate: float) -> None:
        """A step's metrics and the speed since the last call."""
        now = time.monotonic()
        seconds = (now - self._last[0]) / max(step - self._last[1], 1)
        self._last = (now, step)
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        speed = {
            "steps_per_second": 1 / seconds,
            "clips_per_second": self._config.data.batch_size / seconds,
        }
        if self.step_flops:
            speed["device_flops_per_second"] = self.step_flops / seconds
        self._write(step, {**values, "learning_rate": learning_rate, **speed})
        left = (self._config.steps - step) * seconds / 60
        text = " ".join(f"{name} {value:.4f}" for name, value in values.items())
        self._console.print(
            f"step {step}/{self._config.steps}  {text}  {seconds:.2f} s/step  "
            f"{speed['clips_per_second']:.2f} clips/s  {left:.0f} min left"
        )

    def validation(
        self, step: int, scores: dict[str, float], picture: UInt8[np.ndarray, "T H W 3"]
    ) -> None:
        """Scores, and the picture as ``samples/STEP.mp4`` (one frame: ``.png``)."""
        self._write(step, {f"validation_{name}": value for name, value in scores.items()})
        text = " ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self._console.print(f"step {step}  held-out clips: {text}")
        self._board.add_image("samples", picture[len(picture) // 2], step, dataformats="HWC")
        folder = self._workdir / "samples"
        folder.mkdir(exist_ok=True)
        if len(picture) == 1:
            Image.fromarray(picture[0]).save(folder / f"{step:06d}.png")
        else:
            write_sample(folder / f"{step:06d}.mp4", picture)
        self._last = (time.monotonic(), step)

    def _write(self, step: int, values: dict[str, float]) -> None:
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Closes the files and draws the curves."""
        self._lines.close()
        self._board.close()
        path = write_curves(self._workdir, self._config.stage)
        if path:
            self._console.print(f"wrote {path}", markup=False)


def write_sample(path: Path, frames: UInt8[np.ndarray, "T H W 3"]) -> None:
    """A short video of frames with even sizes."""
    write_video(path, frames, SAMPLE_RATE)


def trim(path: Path, step: int) -> None:
    """Drops the lines of ``metrics.jsonl`` after ``step``, and damaged ones."""
    text = path.read_text(errors="replace") if path.is_file() else ""
    lines = text.splitlines(keepends=True)
    parsed = [(line, parse_line(line)) for line in lines if line.endswith("}\n")]
    kept = [line for line, values in parsed if values and values["step"] <= step]
    if kept != lines:
        write_text(path, "".join(kept))
