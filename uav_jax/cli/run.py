"""What `infer.py` does with its arguments."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from uav_jax.cli.arguments import parser
from uav_jax.cli.choices import job_options, prompts_of, settings_from
from uav_jax.cli.report import Reporter
from uav_jax.jobs.folder import (
    Outcome,
    claimed,
    one_line,
    run_folder,
    summary_path,
    write_summary,
)
from uav_jax.jobs.inputs import Input, Inputs, find_inputs
from uav_jax.jobs.names import distinct_names
from uav_jax.jobs.outputs import Sources, check_folder
from uav_jax.jobs.prepare import Job, check_output_name, is_named_file, prepare
from uav_jax.jobs.video import note_comparison
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.programs import keep_compiled_programs
from uav_jax.video.containers import shown


class Batch:
    """The sources of a run with the model that they go through."""

    def __init__(
        self, upscaler: Upscaler, options: argparse.Namespace, inputs: Inputs, report: Reporter
    ):
        self.upscaler, self.options, self.inputs, self.report = upscaler, options, inputs, report
        self.output = Path(options.output_path)
        self._sources = Sources(inputs.paths)
        self._names: dict[Input, str] = {}
        for folder in {item.folder for item in inputs.items}:
            items = [item for item in inputs.items if item.folder == folder]
            names = distinct_names([item.path for item in items])
            self._names |= dict(zip(items, names, strict=True))

    def job(self, item: Input) -> Job:
        """Prepares the job of one source."""
        self.report.begin(item.path)
        return prepare(
            self.upscaler,
            item.path,
            self.output / item.folder if item.folder.name else self.output,
            settings_from(self.options, self.upscaler.defaults),
            job_options(self.options),
            self.report.progress,
            prompts=prompts_of(self.options, self._announce),
            name=self._names[item],
            taken=self._sources,
            compare=self.options.compare,
        )

    def _announce(self, line: str) -> None:
        self.report.progress(line, 0, 0)

    def one(self) -> int:
        """Upscales the one source, or says what would be done."""
        with self.report.bars():
            job = self.job(self.inputs.items[0])
            self._say_notes(job)
            if self.options.plan:
                self._print_plan(job)
                return 0
            outcome = claimed(self.upscaler, job, self.report.progress)
        if outcome.state == "elsewhere":
            raise ValueError(f"another process is working on {shown(job.target)}")
        self._say_outcome(outcome)
        if self.options.compare:
            self._compare(job)
        return 0

    def _say_notes(self, job: Job) -> None:
        for note in job.notes:
            self.report.progress(note, 0, 0)

    def _compare(self, job: Job) -> None:
        from uav_jax.compare.write import compare

        note_comparison(job)
        for path in compare(job.source, job.target, job.record, job.outputs.comparison):
            self.report.say(f"wrote {shown(path)}")

    def _print_plan(self, job: Job) -> None:
        from uav_jax.jobs.estimate import describe

        print(describe(self.upscaler, job))

    def _say_outcome(self, outcome: Outcome) -> None:
        if outcome.state == "failed":
            message = outcome.message
            name = shown(outcome.source)
            line = message if message.startswith(name) else f"{name}: {message}"
            self.report.say(f"failed {line}", style="red")
        elif outcome.state == "already there":
            self.report.say(f"already there: {shown(outcome.target or '')}")
        else:
            each = outcome.seconds / max(1, outcome.frames)
            self.report.say(
                f"wrote {shown(outcome.target or '')} ({_count(outcome.frames)} in "
                f"{_clock(outcome.seconds)}, {each:.2f} s a frame)"
            )

    def many(self) -> int:
        """Upscales all sources; status 1 if any failed."""
        count = len(self.inputs.items)
        if self.options.compare:
            raise ValueError(f"--compare is for one video, and there are {count}")
        if is_named_file(self.output):
            raise ValueError(
                f"{count} videos cannot go into one file {shown(self.output)}; give a folder"
            )
        check_folder(self.output)
        self._sources.check(summary_path(self.output))
        if self.options.plan:
            return self._plan_all()
        started = time.monotonic()
        with self.report.bars():
            outcomes = run_folder(
                self.upscaler,
                self.inputs.items,
                self._noted_job,
                self.report.progress,
                self._say_outcome,
            )
        self._print_table(outcomes)
        self.report.say(
            f"wrote {shown(write_summary(outcomes, self.output))}, "
            f"{_clock(time.monotonic() - started)} in all"
        )
        return int(any(o.state == "failed" for o in outcomes))

    def _noted_job(self, item: Input) -> Job:
        job = self.job(item)
        self._say_notes(job)
        return job

    def _plan_all(self) -> int:
        failed = False
        for item in self.inputs.items:
            try:
                self._print_plan(self._noted_job(item))
            except (ValueError, OSError, MemoryError) as error:
                failed = True
                self._say_outcome(Outcome(item.path, "failed", message=one_line(error)))
        return int(failed)

    def _print_table(self, outcomes: list[Outcome]) -> None:
        table = Table(title=escape(shown(self.output)))
        for column in ("source", "state", "frames", "s a frame"):
            table.add_column(column)
        for o in outcomes:
            rate = f"{o.seconds / max(1, o.frames):.2f}" if o.state == "done" else ""
            table.add_row(escape(shown(o.source.name)), o.state, str(o.frames or ""), rate)
        if not self.report.quiet:
            self.report.console.print(table)


def _count(frames: int) -> str:
    return f"{frames} frame" if frames == 1 else f"{frames} frames"


def _clock(seconds: float) -> str:
    """A duration as people say it: `8.1 s`, `2:05`, `1:00:07`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def run(options: argparse.Namespace, report: Reporter) -> int:
    """Does what the parsed arguments ask; returns the exit status.

    Raises:
        ValueError: A mistake of the user's.
        OSError: A disk that is full, or a folder that is gone.
    """
    keep_compiled_programs()
    output = Path(options.output_path)
    check_output_name(output)
    if options.demo:
        from uav_jax.demo import run_demo

        if is_named_file(output):
            raise ValueError(f"--demo writes several files; give a folder instead of {output}")
        run_demo(output, options, report.console)
        return 0
    if options.input_path is None:
        raise ValueError("no input: give -i PATH, or --demo to see it work")
    job_options(options)
    inputs = find_inputs(options.input_path, kind=options.kind, recursive=options.recursive)
    if options.log is not None:
        report.open_log(Path(options.log), Sources(inputs.paths))
    upscaler = Upscaler.from_pretrained(
        options.model, dtype=jnp.dtype(options.dtype), weights=options.weights
    )
    upscaler.check(settings_from(options, upscaler.defaults))
    batch = Batch(upscaler, options, inputs, report)
    return batch.one() if inputs.single else batch.many()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `infer.py`.

    Returns:
        0; 1 if one of several sources failed, 2 after a mistake, 130 after Ctrl-C.
    """
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    report = Reporter(console, quiet=options.quiet)
    try:
        return run(options, report)
    except (ValueError, OSError, MemoryError) as error:
        report.say(f"infer.py: {one_line(error)}", style="red")
        return 2
    except KeyboardInterrupt:
        report.say("infer.py: stopped; the same command resumes after the last finished segment")
        return 130
    finally:
        report.close()
