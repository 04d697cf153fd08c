"""Starting a run, and going on with one: what the command line and Python programs call."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from verifine.checkpoints.store import CheckpointStore
from verifine.config import RunConfig, dump_config, load_config
from verifine.config.resolve import ResolvedConfig
from verifine.errors import ConfigError, StoppedError
from verifine.graders import GradeFunction, Grader
from verifine.insights.diagnosis.monitor import Monitor
from verifine.insights.report import write_report
from verifine.launch.build import BuiltRun, build_run, fetch_model
from verifine.launch.checking import build_checked
from verifine.launch.facts import find_facts
from verifine.launch.inputs import RunInputs, load_inputs
from verifine.launch.observer import SILENT, Observer
from verifine.launch.provenance import find_provenance
from verifine.launch.run_graders import RunGraders, open_graders
from verifine.machine.disk import LOCAL_DISK, Disk
from verifine.machine.secrets import MaskingDisk, find_secrets
from verifine.preflight.check import Extent, NoGoError
from verifine.preflight.numbers import to_numbers, verdict_numbers
from verifine.preflight.report import Report
from verifine.runs.directory import RunDirectory, write_json, write_text
from verifine.runs.environment import Environment, describe_environment, read_environment, write_environment
from verifine.runs.events import ending_of, read_events
from verifine.runs.lock import hold
from verifine.runs.provenance import refuse_other_provenance, write_provenance
from verifine.runs.record import read_run
from verifine.runs.rewind import rewind
from verifine.training.checkpointing import Saver, SavingPlan
from verifine.training.loop import execute
from verifine.training.recorder import Recorder
from verifine.training.run import Ending, Plan, Request, Run, Summary
from verifine.training.state import RunState, from_checkpoint

NEARLY_OVER = 0.5
"""A run that ended for want of time has used more than this share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRun:
    """What `train` and `resume` leave behind."""

    directory: RunDirectory
    summary: Summary
    seconds: float
    """Of this session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """A run from when a process takes it up until it lets go of it."""

    built: BuiltRun
    report: Report | None
    """What the check found; None: nothing was checked."""
    directory: RunDirectory
    observer: Observer
    request: Callable[[], Request | None]
    began: float
    disk: Disk
    """What checkpoints are written with: they hold numbers only, and are hashed on their way."""

    def carry_out(self, start: RunState, saved: int | None = None, damaged: Sequence[str] = ()) -> TrainedRun:
        """Trains from `start`, of which `saved` is the step if there is a checkpoint of it.

        `damaged` says what is wrong with each checkpoint that was passed over.
        """
        recorder = Recorder(self.directory, self.built.model, lambda: datetime.now(UTC))
        for damage in damaged:
            recorder.event("checkpoint_damaged", error=damage)
        if self.report is not None:
            write_json(self.directory.preflight, to_numbers(self.report), self.directory.disk)
            recorder.event("checked", **verdict_numbers(self.report))
        section, trainer = self.built.config.run, self.built.trainer
        plan = SavingPlan(interval=section.save_interval, keep_last=section.keep_last, keep_best=section.keep_best)
        store = CheckpointStore(self.directory.checkpoints, self.disk)
        saver = Saver(trainer.learner, store, plan, recorder, trainer.clock, saved=saved)
        run = Run(
            trainer=trainer,
            model=self.built.model,
            eval_set=self.built.eval_set,
            plan=_plan(self.built.config),
            directory=self.directory,
            recorder=recorder,
            saver=saver,
            watch=Monitor(self.built.config) if saved is None else Monitor.after(read_run(self.directory)),
            observer=self.observer,
            request=self._request,
            began=self.began,
        )
        try:
            summary = execute(run, start)
        except Exception:
            # A run that failed has a story to tell as well; if it cannot be told, the failure matters more.
            with suppress(Exception):
                write_report(self.directory)
            raise
        finally:
            saver.close()
        self.observer.stage("writing the report")
        write_report(self.directory)
        return TrainedRun(directory=self.directory, summary=summary, seconds=time.monotonic() - self.began)

    def _request(self) -> Request | None:
        return self.request() or (Request.PAUSE if self.directory.pause.exists() else None)


def train(
    config: RunConfig,
    *,
    grader: Grader | GradeFunction | None = None,
    observer: Observer = SILENT,
    request: Callable[[], Request | None] = lambda: None,
    started: float | None = None,
    check: bool = True,
    unsafe_grader_exec: bool = False,
    disk: Disk = LOCAL_DISK,
) -> TrainedRun:
    """Trains a model: the whole of reinforcement fine-tuning in one call.

    Args:
        config: What to train, on what, and how.
        grader: Scores the answers in place of `config.grader`: a `Grader`, or a function of the sample and the item
            that returns a number. A `Grader` stays the caller's to close.
        observer: Is told how the run goes.
        request: Asked before each step: whether to stop and save the model as it is, or to pause.
        started: When `run.minutes` began, on `time.monotonic`; None: now.
        check: Whether data, grader and model are tried first; training only begins if nothing stands in its way.
        unsafe_grader_exec: Runs graders' code, and code that the model writes, outside the sandbox: with the rights of
            this process. Written into the run.
        disk: What the run directory is written with.

    Raises:
        VerifineError: something about the config, the data, the grader or the model is wrong; see `verifine.errors`.
            NoGoError: the check says that training would fail or be in vain.
    """
    started = time.monotonic() if started is None else started
    RunDirectory.check_free(config.run.directory)
    inputs = load_inputs(config)
    with open_graders(inputs, grader, unsafe_grader_exec) as graders:
        built, report = _build(inputs, graders, observer, check=check)
        if request() is not None:
            raise StoppedError("stopped before training began; nothing was saved")
        directory = _make_directory(built.config, datetime.now(), disk)
        with hold(directory):
            write_provenance(directory, find_provenance(inputs, built.files, grader, built.start))
            _write_config(directory, built.config, _environment(grader, unsafe_grader_exec))
            session = _Session(
                built=built,
                report=report,
                directory=directory,
                observer=observer,
                request=request,
                began=started,
                disk=disk,
            )
            return session.carry_out(RunState(budget=built.config.memory))


def resume(
    path: Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    grader: Grader | GradeFunction | None = None,
    observer: Observer = SILENT,
    request: Callable[[], Request | None] = lambda: None,
    unsafe_grader_exec: bool = False,
    disk: Disk = LOCAL_DISK,
) -> TrainedRun:
    """Goes on with a run from its newest checkpoint, or from its beginning where it has none.

    On the same machine what comes out is what would have come out without the break, to the bit.

    Args:
        path: The run directory.
        steps: How many steps the run is to have in the end; None: as many as it was to have.
        minutes: How long the whole run may take; None: as long as it was to take.
        grader: As in `train`; needed where the run began with one.
        observer: Is told how the run goes.
        request: As in `train`.
        unsafe_grader_exec: As in `train`; it is not taken over from there.
        disk: As in `train`.

    Raises:
        VerifineError: as in `train`. ConfigError: there is nothing left to do, or another process is at it.
            CheckpointError: the model, the data or the grader is another than the run began with, or, before its first
            checkpoint, the one that it starts from.
    """
    began = time.monotonic()
    directory = _masked(RunDirectory.open(path), disk)
    with hold(directory):
        config = _extended(directory, steps, minutes)
        _refuse_missing_grader(directory, grader)
        found = CheckpointStore(directory.checkpoints, disk).newest()
        for damage in found.damaged:
            observer.stage(f"passing over a damaged checkpoint: {damage}")
        start, learned = (None, None) if found.checkpoint is None else from_checkpoint(found.checkpoint)
        _refuse_nothing_to_do(directory, config, start)
        inputs = load_inputs(config)
        with open_graders(inputs, grader, unsafe_grader_exec) as graders:
            files = fetch_model(config, observer)
            built = build_run(inputs, graders, files, find_facts(inputs, files), observer, resumed=start)
            provenance = find_provenance(inputs, built.files, grader, built.start)
            refuse_other_provenance(directory, provenance, begins=start is None)
            start = RunState(budget=built.config.memory) if start is None else start
            if learned is not None:
                built.trainer.learner.restore(learned)
            observer.stage(f"going on from step {start.progress.step}")
            rewind(directory, start.progress.step)
            directory.disk.remove(directory.pause)
            _write_config(directory, built.config, _environment(grader, unsafe_grader_exec))
            session = _Session(
                built=built,
                report=None,
                directory=directory,
                observer=observer,
                request=request,
                began=began,
                disk=disk,
            )
            return session.carry_out(
                start, saved=None if learned is None else start.progress.step, damaged=found.damaged
            )


def _build(
    inputs: RunInputs, graders: RunGraders, observer: Observer, *, check: bool
) -> tuple[BuiltRun, Report | None]:
    """Builds a run, and checks it on the way if `check`; the observer is told what came out either way."""
    if not check:
        files = fetch_model(inputs.config, observer)
        return build_run(inputs, graders, files, find_facts(inputs, files), observer), None
    try:
        built, report = build_checked(inputs, graders, observer, Extent())
    except NoGoError as error:
        observer.checked(error.report)
        raise
    observer.checked(report)
    return built, report


def _extended(directory: RunDirectory, steps: int | None, minutes: float | None) -> RunConfig:
    """The run's config with its new length, wherever the directory lies by now."""
    given = {"run.directory": str(directory.path.resolve()), "run.steps": steps, "run.minutes": minutes}
    overrides = [f"{name}={json.dumps(value)}" for name, value in given.items() if value is not None]
    return load_config(directory.config, overrides)


def _environment(grader: Grader | GradeFunction | None, unsafe_grader_exec: bool) -> Environment:
    return replace(describe_environment(), own_grader=grader is not None, unsafe_grader_exec=unsafe_grader_exec)


def _refuse_missing_grader(directory: RunDirectory, grader: Grader | GradeFunction | None) -> None:
    if grader is None and directory.environment.exists() and read_environment(directory.environment).own_grader:
        raise ConfigError(
            f"{directory.path}: a Python program brought the grader of this run, so only that program can go on with "
            "it: `verifine.resume(path, grader=...)`"
        )


def _refuse_nothing_to_do(directory: RunDirectory, config: RunConfig, start: RunState | None) -> None:
    ending = ending_of(read_events(directory.events))
    if start is None or ending not in {Ending.FINISHED, Ending.OUT_OF_TIME}:
        return
    steps, minutes = config.run.steps, config.run.minutes
    if steps is not None and start.progress.step >= steps:
        raise ConfigError(
            f"{directory.path}: this run has taken all its {steps} steps; give it more, for example --steps {2 * steps}"
        )
    if ending == Ending.OUT_OF_TIME and minutes is not None and start.seconds >= 60 * minutes * NEARLY_OVER:
        raise ConfigError(
            f"{directory.path}: this run has used its {minutes:g} minutes; give it more, for example --minutes "
            f"{2 * minutes:g}"
        )


def _plan(config: RunConfig) -> Plan:
    return Plan(
        steps=config.run.steps,
        seconds=None if config.run.minutes is None else 60 * config.run.minutes,
        eval_interval=config.run.eval_interval,
        patience=config.evaluation.patience,
        keeps_best=config.evaluation.keep == "best",
    )


def _make_directory(config: RunConfig, now: datetime, disk: Disk) -> RunDirectory:
    name = f"{config.data.task or (config.data.train and config.data.train.stem)}-{config.algorithm.name}"
    return _masked(RunDirectory.create(config.run.directory, name, now), disk)


def _masked(directory: RunDirectory, disk: Disk) -> RunDirectory:
    """With `disk`, on which no text of the run holds a secret."""
    return replace(directory, disk=MaskingDisk(disk, find_secrets(os.environ)))


def _write_config(directory: RunDirectory, config: ResolvedConfig, environment: Environment) -> None:
    """The config last: a directory that has one can be gone on with."""
    resolved = config.model_copy(update={"run": config.run.model_copy(update={"directory": directory.path})})
    write_environment(directory.environment, environment, directory.disk)
    write_text(directory.config, dump_config(resolved), directory.disk)
