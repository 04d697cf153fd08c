"""Starting a run: what the command line and `from verifine import train` call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from verifine.assemble import Materials, gather
from verifine.config import RunConfig, RunSection, dump_config
from verifine.errors import ConfigError, StoppedError
from verifine.graders import CallableGrader, GradeFunction, Grader, Services, build_grader
from verifine.graders.sandbox import Level
from verifine.models.chat import prompt_text
from verifine.preflight.check import Extent, NoGoError
from verifine.preflight.numbers import to_numbers, verdict_numbers
from verifine.preflight.ready import Scoring, prepare
from verifine.preflight.report import Report
from verifine.runs.directory import RunDirectory, write_json, write_text
from verifine.runs.environment import Environment, describe_environment, write_environment
from verifine.runs.evaluation import Evaluation
from verifine.runs.report import write_report
from verifine.train import loop
from verifine.train.loop import Plan, Run, Summary, execute
from verifine.train.recorder import Recorder
from verifine.types import StepReport

REHEARSED_PROMPTS = 2

CHECKED_ROWS = 16
"""Prompts that a check of its own asks; before training it asks those of one step."""


class Observer(loop.Observer, Protocol):
    """Somebody who watches a run from its check on."""

    def checked(self, report: Report) -> None:
        """The check is done; training begins if it says so."""
        ...


class _Silent:
    """An observer that looks away."""

    def stage(self, text: str) -> None: ...
    def progress(self, text: str, done: int, total: int) -> None: ...
    def checked(self, report: Report) -> None: ...
    def evaluated(self, evaluation: Evaluation) -> None: ...
    def stepped(self, report: StepReport, eta_s: float | None) -> None: ...


SILENT: Observer = _Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRun:
    """What `train` leaves behind."""

    directory: RunDirectory
    summary: Summary
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What `rehearse` found."""

    config: RunConfig
    """Resolved."""
    model: str
    train_examples: int
    held_out_examples: int
    prompt_texts: tuple[str, ...]
    """The first prompts of the run as the model would read them."""


def train(
    config: RunConfig,
    *,
    grader: Grader | GradeFunction | None = None,
    observer: Observer = SILENT,
    is_interrupted: Callable[[], bool] = lambda: False,
    started: float | None = None,
    check: bool = True,
    unsafe_grader_exec: bool = False,
) -> TrainedRun:
    """Trains a model: the whole of reinforcement fine-tuning in one call.

    Args:
        config: What to train, on what, and how.
        grader: Scores the answers in place of `config.grader`: a `Grader`, or a function of the sample and the item
            that returns a number. A `Grader` stays the caller's to close.
        observer: Is told how the run goes.
        is_interrupted: Asked before each step; True ends training, and the model is saved as it is.
        started: When `run.minutes` began, on `time.monotonic`; None: now.
        check: Whether data, grader and model are tried first; training only begins if nothing stands in its way.
        unsafe_grader_exec: Runs graders' code, and code that the model writes, outside the sandbox: with the rights of
            this process. Written into the run.

    Raises:
        VerifineError: something about the config, the data, the grader or the model is wrong; see `verifine.errors`.
            NoGoError: the check says that training would fail or be in vain.
    """
    started = time.monotonic() if started is None else started
    RunDirectory.check_free(config.run.directory)
    materials = gather(config)
    with _grader(materials, grader, unsafe_grader_exec) as scoring:
        try:
            ready = prepare(materials, scoring, observer, Extent() if check else None)
        except NoGoError as error:
            observer.checked(error.report)
            raise
        if ready.report is not None:
            observer.checked(ready.report)
        if is_interrupted():
            raise StoppedError("stopped before training began; nothing was saved")
        environment = replace(
            describe_environment(), own_grader=grader is not None, unsafe_grader_exec=unsafe_grader_exec
        )
        directory = _open_directory(ready.config, environment)
        run = Run(
            trainer=ready.trainer,
            model=ready.model,
            held_out=ready.held_out,
            plan=_plan(config.run, started),
            directory=directory,
            recorder=Recorder(directory, ready.model, lambda: datetime.now(UTC)),
            observer=observer,
            is_interrupted=is_interrupted,
        )
        if ready.report is not None:
            _record_check(ready.report, run)
        try:
            summary = execute(run)
        except Exception:
            # A run that failed has a story to tell as well; if it cannot be told, the failure matters more.
            with suppress(Exception):
                write_report(directory)
            raise
    observer.stage("writing the report")
    write_report(directory)
    return TrainedRun(directory=directory, summary=summary, seconds=time.monotonic() - started)


def rehearse(config: RunConfig, observer: Observer = SILENT, *, unsafe_grader_exec: bool = False) -> Rehearsal:
    """Does everything up to the first sample: reads the data, builds the grader, loads the model, renders prompts.

    Raises:
        VerifineError: whatever `train` would have found wrong before it began.
    """
    RunDirectory.check_free(config.run.directory)
    materials = gather(config)
    with _grader(materials, None, unsafe_grader_exec) as scoring:
        ready = prepare(materials, scoring, observer, None)
    prompts = ready.trainer.source.draw(0, REHEARSED_PROMPTS)
    return Rehearsal(
        config=ready.config,
        train_examples=len(materials.train),
        held_out_examples=len(ready.held_out),
        prompt_texts=tuple(prompt_text(ready.model, prompt) for prompt in prompts),
        model=f"{ready.model.name}, {ready.model.parameter_count / 1e6:.0f} M weights, from the {ready.source}",
    )


def check_run(
    config: RunConfig,
    *,
    grader: Grader | GradeFunction | None = None,
    observer: Observer = SILENT,
    extent: Extent | None = None,
    unsafe_grader_exec: bool = False,
) -> Report:
    """Tries data, grader and model, and trains nothing. A blocker in the data or the grader leaves the model unasked.

    `extent` None asks CHECKED_ROWS prompts.

    Raises:
        VerifineError: what `train` would refuse anyway.
    """
    materials = gather(config)
    with _grader(materials, grader, unsafe_grader_exec) as scoring:
        try:
            report = prepare(materials, scoring, observer, extent or Extent(rows=CHECKED_ROWS)).report
        except NoGoError as error:
            return error.report
    assert report is not None
    return report


def _record_check(report: Report, run: Run) -> None:
    write_json(run.directory.preflight, to_numbers(report))
    run.recorder.event("checked", **verdict_numbers(report))


def services_for(config: RunConfig, *, unsafe_grader_exec: bool = False) -> Services:
    """What the graders of a run work with on this machine."""
    level = Level.UNSAFE if unsafe_grader_exec else None
    return Services(grading=config.grading, environment=dict(os.environ), level=level)


@contextmanager
def _grader(materials: Materials, grader: Grader | GradeFunction | None, unsafe_grader_exec: bool) -> Iterator[Scoring]:
    """The grader of a run; one that is built here is closed afterwards."""
    if grader is not None:
        yield Scoring(grader=CallableGrader(grader) if callable(grader) else grader, config=None)
        return
    if materials.grader is None:
        raise ConfigError(
            "grader: missing; data of your own needs one, for example {type: answer, compare: number}. "
            "See `verifine train --help` for the presets."
        )
    built = build_grader(materials.grader, services_for(materials.config, unsafe_grader_exec=unsafe_grader_exec))
    try:
        yield Scoring(grader=built, config=materials.grader)
    finally:
        built.close()


def _plan(section: RunSection, started: float) -> Plan:
    return Plan(
        steps=section.steps,
        deadline=None if section.minutes is None else started + 60 * section.minutes,
        eval_interval=section.eval_interval,
        save_interval=section.save_interval,
    )


def _open_directory(config: RunConfig, environment: Environment) -> RunDirectory:
    name = f"{config.data.task or (config.data.train and config.data.train.stem)}-{config.algorithm.name}"
    directory = RunDirectory.create(config.run.directory, name, datetime.now())
    resolved = config.model_copy(update={"run": config.run.model_copy(update={"directory": directory.path})})
    write_text(directory.config, dump_config(resolved))
    write_environment(directory.environment, environment)
    return directory
