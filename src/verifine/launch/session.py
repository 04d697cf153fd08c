"""Starting and resuming a run: what the command line and Python programs call."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from verifine.algorithms.advantages import GroupAdvantages, name_of_function
from verifine.checkpoints.store import CheckpointStore
from verifine.config import RunConfig
from verifine.errors import StoppedError
from verifine.graders import GradeFunction, Grader
from verifine.insights.card.card import write_card
from verifine.insights.card.subject import CardSubject
from verifine.insights.diagnosis.monitor import Monitor
from verifine.insights.findings import to_event
from verifine.insights.report import render_report
from verifine.insights.saved_work import has_saved_model
from verifine.launch.attempt import OpenAttempt, open_attempt
from verifine.launch.build import BuiltRun, build_run, fetch_model
from verifine.launch.checking import build_checked
from verifine.launch.facts import find_facts
from verifine.launch.input_facts import find_input_facts
from verifine.launch.inputs import RunInputs, load_inputs
from verifine.launch.options import DEFAULT_OPTIONS, LaunchOptions
from verifine.launch.prompt_facts import find_prompt_facts
from verifine.launch.provenance import find_provenance
from verifine.launch.rehearsal import rehearse_ending
from verifine.launch.resumable import refuse_missing_code, refuse_not_begun, refuse_nothing_to_do, refuse_spent_budget
from verifine.launch.run_graders import RunGraders, open_graders
from verifine.machine.disk import Disk
from verifine.machine.secrets import MaskingDisk, find_secrets
from verifine.models.chat.prompt import prompt_text
from verifine.models.kernels import describe_kernels
from verifine.models.policy import ModelPolicy
from verifine.models.text_offsets import text_ends
from verifine.preflight.check import Extent, NoGoError
from verifine.preflight.events import check_reported
from verifine.preflight.numbers import to_numbers
from verifine.preflight.prompts import judge_prompts
from verifine.preflight.report import Report
from verifine.runs.directory import RunDirectory, write_json, write_text
from verifine.runs.environment import Environment, describe_environment
from verifine.runs.events import CheckpointDamaged, StageBegan, read_events
from verifine.runs.provenance import refuse_other_provenance
from verifine.runs.record import find_model_name, read_run
from verifine.runs.requests import RunRequest, clear_requests, find_request
from verifine.runs.rewind import rewind
from verifine.runs.run_config import load_run_config, write_run_config
from verifine.training.checkpointing import Saver, SavingPlan
from verifine.training.loop import execute
from verifine.training.recorder import Recorder
from verifine.training.run import Plan, Run, Summary
from verifine.training.schedule import Schedule
from verifine.training.state import RunState, from_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRun:
    """The result of `train` and `resume`."""

    directory: RunDirectory
    summary: Summary
    seconds: float
    """The seconds of this session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """The training of a run in one process."""

    built: BuiltRun
    attempt: OpenAttempt
    options: LaunchOptions
    began: float

    def run_to_end(self, start: RunState, saved: int | None = None, damaged: Sequence[str] = ()) -> TrainedRun:
        """Trains from `start`.

        `saved` is its step if there is a checkpoint of it, and `damaged` describes the checkpoints that were skipped.
        """
        model = self.built.model
        recorder = Recorder(
            self.attempt.directory,
            partial(prompt_text, model),
            self.attempt.events,
            text_ends=partial(text_ends, model.tokenizer),
            kept_steps=self.built.config.run.keep_rollouts,
        )
        for damage in damaged:
            recorder.emit(CheckpointDamaged(error=damage))
        section, trainer = self.built.config.run, self.built.trainer
        plan = SavingPlan(interval=section.save_interval, keep_last=section.keep_last, keep_best=section.keep_best)
        # Checkpoints hold numbers only, so nothing in them has to be masked.
        store = CheckpointStore(self.attempt.directory.checkpoints, self.options.disk)
        saver = Saver(trainer.learner, store, plan, recorder, trainer.clock, saved=saved)
        run = Run(
            trainer=trainer,
            policy=ModelPolicy(self.built.model),
            model_name=self.built.model.name,
            parameters=self.built.model.parameter_count,
            eval_set=self.built.eval_set,
            plan=_plan(self.built.config),
            directory=self.attempt.directory,
            recorder=recorder,
            saver=saver,
            monitor=Monitor(self.built.config) if saved is None else Monitor.after(read_run(self.attempt.directory)),
            request=self._request,
            began=self.began,
        )
        try:
            summary = execute(run, start)
        except Exception:
            # A run that failed has a report too; if it cannot be written, the failure matters more.
            with suppress(Exception):
                _write_texts(self.attempt.directory)
            raise
        finally:
            saver.close()
        self.attempt.events.emit(StageBegan(text="writing the report"))
        _write_texts(self.attempt.directory)
        return TrainedRun(directory=self.attempt.directory, summary=summary, seconds=time.monotonic() - self.began)

    def _request(self) -> RunRequest | None:
        return self.options.request() or find_request(self.attempt.directory)


def _write_texts(directory: RunDirectory) -> None:
    """The report, and the card of the model if this attempt has saved it: it may be that of an earlier one."""
    record = read_run(directory)
    write_text(directory.report, render_report(record), directory.disk)
    if has_saved_model(record.events):
        write_card(directory.model, record, CardSubject(), directory.disk)


def train(
    config: RunConfig,
    *,
    grader: Grader | GradeFunction | None = None,
    advantages: GroupAdvantages | None = None,
    check: bool = True,
    started: float | None = None,
    options: LaunchOptions = DEFAULT_OPTIONS,
) -> TrainedRun:
    """Trains a model: the whole of reinforcement fine-tuning in one call.

    Args:
        config: What to train, on what, and how.
        grader: Scores the answers in place of `config.grader`: a `Grader`, or a function of the sample and the item
            that returns a number. The caller closes a `Grader`.
        advantages: Takes the place of the algorithm's advantages: a function of rewards [P, G] and of which of them
            count, valid [P, G], that returns advantages [P, G]; those of groups that teach nothing are exactly 0.
        check: Whether data, grader and model are checked first; training begins only if there is no blocker.
        started: When `run.minutes` began, on `time.monotonic`; None: now.
        options: Who listens, how the run is asked to stop, and how untrusted code is isolated.

    Raises:
        VerifineError: something about the config, the data, the grader or the model is wrong; see `verifine.errors`.
            NoGoError: the check says that training would fail or be useless.
    """
    started = time.monotonic() if started is None else started
    environment = _environment(grader, advantages, options)
    directory = _make_directory(config, datetime.now(), options.disk)
    config = _in_directory(config, directory)
    with open_attempt(directory, environment, options.listeners) as attempt:
        attempt.announce()
        write_run_config(directory, config, environment)
        inputs = replace(load_inputs(config), advantages=advantages)
        with (
            open_graders(inputs, grader, options.services()) as graders,
            closing(_build(inputs, graders, attempt, check=check)) as built,
        ):
            if options.request() is not None:
                raise StoppedError("stopped before training began; nothing was saved")
            write_run_config(directory, built.config, environment)
            provenance = find_provenance(inputs, built.files, grader, built.start)
            attempt.begin_training(0, provenance, find_input_facts(inputs, built.files), describe_kernels(built.model))
            session = _Session(built=built, attempt=attempt, options=options, began=started)
            return session.run_to_end(RunState(memory=built.config.memory))


def resume(
    path: Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    max_steps: int | None = None,
    max_minutes: float | None = None,
    grader: Grader | GradeFunction | None = None,
    advantages: GroupAdvantages | None = None,
    options: LaunchOptions = DEFAULT_OPTIONS,
) -> TrainedRun:
    """Continues a run from its newest checkpoint, or from its beginning if it has none.

    On the same machine the result is the same as without the interruption, to the bit.

    Args:
        path: The run directory.
        steps: Total number of steps of the run; None: unchanged.
        minutes: Time limit of the whole run; None: unchanged.
        max_steps: The step after which it pauses; None: unchanged.
        max_minutes: The time of the whole run before which it pauses; None: unchanged.
        grader: As in `train`; needed if the run began with one.
        advantages: The same.
        options: As in `train`; options of earlier sessions are not saved.

    Raises:
        VerifineError: as in `train`. ConfigError: there is nothing left to do, or another process is training it.
            CheckpointError: the model, the data or the grader is not the one that the run began with; before its first
            checkpoint, also the checkpoint that it starts from.
    """
    began = time.monotonic()
    directory = _masked(RunDirectory.open(path), options.disk)
    environment = _environment(grader, advantages, options)
    with open_attempt(directory, environment, options.listeners) as attempt:
        tell = attempt.events.emit
        refuse_not_begun(directory)
        given = {"steps": steps, "minutes": minutes, "max_steps": max_steps, "max_minutes": max_minutes}
        config = _extended(directory, given)
        refuse_spent_budget(directory, config)
        refuse_missing_code(directory, environment)
        found = CheckpointStore(directory.checkpoints, options.disk).newest()
        start, learned = (None, None) if found.checkpoint is None else from_checkpoint(found.checkpoint)
        refuse_nothing_to_do(directory, config, start)
        inputs = replace(load_inputs(config), advantages=advantages)
        files = fetch_model(config, tell)
        files = replace(files, name=find_model_name(read_events(directory.events)) or files.name)
        facts = find_facts(inputs, files)
        with (
            open_graders(inputs, grader, options.services()) as graders,
            closing(build_run(inputs, graders, files, facts, tell, resumed=start)) as built,
        ):
            provenance = find_provenance(inputs, built.files, grader, built.start)
            refuse_other_provenance(directory, provenance, begins=start is None)
            rehearse_ending(built, directory)
            start = RunState(memory=built.config.memory) if start is None else start
            if learned is not None:
                built.trainer.learner.restore(learned)
            tell(StageBegan(text=f"continuing from step {start.progress.step}"))
            rewind(directory, start.progress.step)
            clear_requests(directory)
            write_run_config(directory, built.config, environment)
            changed = attempt.begin_training(
                start.progress.step,
                provenance,
                find_input_facts(inputs, built.files),
                describe_kernels(built.model),
            )
            attempt.announce()
            if changed is not None:
                tell(changed)
            session = _Session(built=built, attempt=attempt, options=options, began=began)
            return session.run_to_end(
                start, saved=None if learned is None else start.progress.step, damaged=found.damaged
            )


def _build(inputs: RunInputs, graders: RunGraders, attempt: OpenAttempt, *, check: bool) -> BuiltRun:
    """Builds a run, and checks it meanwhile if `check`. The result of the check is always written.

    What the chat template leaves out of the rows is told without the check as well.
    """
    directory, tell = attempt.directory, attempt.events.emit
    if not check:
        directory.disk.remove(directory.preflight)  # from an earlier attempt, which the check refused
        files = fetch_model(inputs.config, tell)
        built = build_run(inputs, graders, files, find_facts(inputs, files), tell)
        try:
            rehearse_ending(built, directory)
            for finding in judge_prompts(find_prompt_facts(inputs, built), inputs.config.model):
                tell(to_event(finding))
        except BaseException:
            built.close()
            raise
        return built

    def write(report: Report) -> None:
        write_json(directory.preflight, to_numbers(report), directory.disk)
        tell(check_reported(report))

    try:
        built, report = build_checked(inputs, graders, tell, Extent(), partial(rehearse_ending, directory=directory))
    except NoGoError as error:
        write(error.report)
        raise
    write(report)
    return built


def _extended(directory: RunDirectory, lengths: Mapping[str, float | None]) -> RunConfig:
    """The run's config with its new lengths, and its directory where it is now."""
    given = {"directory": str(directory.path), **lengths}
    overrides = [f"run.{name}={json.dumps(value)}" for name, value in given.items() if value is not None]
    return load_run_config(directory, overrides)


def _environment(
    grader: Grader | GradeFunction | None, advantages: GroupAdvantages | None, options: LaunchOptions
) -> Environment:
    return replace(
        describe_environment(),
        own_grader=grader is not None,
        own_advantages=None if advantages is None else name_of_function(advantages),
        unsafe_grader_exec=options.unsafe_grader_exec,
    )


def _plan(config: RunConfig) -> Plan:
    return Plan(
        steps=config.run.steps,
        seconds=None if config.run.minutes is None else 60 * config.run.minutes,
        max_steps=config.run.max_steps,
        max_seconds=None if config.run.max_minutes is None else 60 * config.run.max_minutes,
        eval_interval=config.run.eval_interval,
        patience=config.evaluation.patience,
        schedule=Schedule.of(config.optim),
        keeps_best=config.evaluation.keep == "best",
    )


def _make_directory(config: RunConfig, now: datetime, disk: Disk) -> RunDirectory:
    name = f"{config.data.task or (config.data.train and config.data.train.stem)}-{config.algorithm.name}"
    directory = _masked(RunDirectory.create(config.run.directory, name, now), disk)
    directory.requests.mkdir(exist_ok=True)
    return directory


def _masked(directory: RunDirectory, disk: Disk) -> RunDirectory:
    """The directory, written with `disk`; secrets are masked in all texts."""
    return replace(directory, disk=MaskingDisk(disk, find_secrets(os.environ)))


def _in_directory(config: RunConfig, directory: RunDirectory) -> RunConfig:
    """The config with the run's directory, which is made before anything else is decided."""
    return config.model_copy(update={"run": config.run.model_copy(update={"directory": directory.path})})
