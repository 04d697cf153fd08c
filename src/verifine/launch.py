"""Starting a run: what the command line and `from verifine import train` call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from verifine.assemble import Copies, Materials, assemble, gather, resolve
from verifine.config import RunConfig, RunSection, dump_config
from verifine.errors import ConfigError, StoppedError
from verifine.graders import CallableGrader, GradeFunction, Grader, build_grader
from verifine.models.chat import prompt_text
from verifine.models.load import LanguageModel, load_model
from verifine.models.lora import attach_lora
from verifine.models.provision import ProvisionedModel, cache_folder, provision_model
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import describe_environment, write_environment
from verifine.runs.evaluation import Evaluation
from verifine.runs.report import write_report
from verifine.train.loop import Observer, Plan, Run, Summary, execute
from verifine.train.recorder import Recorder
from verifine.types import StepReport

REHEARSED_PROMPTS = 2


class _Silent:
    """An observer that looks away."""

    def stage(self, text: str) -> None: ...
    def progress(self, text: str, done: int, total: int) -> None: ...
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
) -> TrainedRun:
    """Trains a model: the whole of reinforcement fine-tuning in one call.

    Args:
        config: What to train, on what, and how.
        grader: Scores the answers in place of `config.grader`: a `Grader`, or a function of the sample and the item
            that returns a number. A `Grader` stays the caller's to close.
        observer: Is told how the run goes.
        is_interrupted: Asked before each step; True ends training, and the model is saved as it is.
        started: When `run.minutes` began, on `time.monotonic`; None: now.

    Raises:
        VerifineError: something about the config, the data, the grader or the model is wrong; see `verifine.errors`.
    """
    started = time.monotonic() if started is None else started
    RunDirectory.check_free(config.run.directory)
    materials = gather(config)
    with _grader(materials, grader) as scoring:
        provisioned, model = _load(config, observer)
        if is_interrupted():
            raise StoppedError("stopped before training began; nothing was saved")
        copies = Copies.wanted(config, lambda: _load_copy(provisioned, model))
        materials = replace(materials, config=resolve(materials.config, model))
        trainer, held_out = assemble(materials, model, scoring, copies, time.monotonic)
        directory = _open_directory(materials.config)
        run = Run(
            trainer=trainer,
            model=model,
            held_out=held_out,
            plan=_plan(config.run, started),
            directory=directory,
            recorder=Recorder(directory, model, lambda: datetime.now(UTC)),
            observer=observer,
            is_interrupted=is_interrupted,
        )
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


def rehearse(config: RunConfig, observer: Observer = SILENT) -> Rehearsal:
    """Does everything up to the first sample: reads the data, builds the grader, loads the model, renders prompts.

    Raises:
        VerifineError: whatever `train` would have found wrong before it began.
    """
    RunDirectory.check_free(config.run.directory)
    materials = gather(config)
    with _grader(materials, None) as scoring:
        provisioned, model = _load(config, observer)
        materials = replace(materials, config=resolve(materials.config, model))
        copies = Copies.wanted(config, lambda: _load_copy(provisioned, model))
        trainer, held_out = assemble(materials, model, scoring, copies, time.monotonic)
    return Rehearsal(
        config=materials.config,
        train_examples=len(materials.train),
        held_out_examples=len(held_out),
        prompt_texts=tuple(prompt_text(model, prompt) for prompt in trainer.source.draw(0, REHEARSED_PROMPTS)),
        model=f"{provisioned.name}, {model.parameter_count / 1e6:.0f} M weights, from the {provisioned.source}",
    )


@contextmanager
def _grader(materials: Materials, grader: Grader | GradeFunction | None) -> Iterator[Grader]:
    """The grader of a run; one that is built here is closed afterwards."""
    if grader is not None:
        yield CallableGrader(grader) if callable(grader) else grader
        return
    if materials.grader is None:
        raise ConfigError(
            "grader: missing; data of your own needs one, for example {type: answer, compare: number}. "
            "See `verifine train --help` for the presets."
        )
    built = build_grader(materials.grader)
    try:
        yield built
    finally:
        built.close()


def _load(config: RunConfig, observer: Observer) -> tuple[ProvisionedModel, LanguageModel]:
    provisioned = provision_model(config.model.name, cache_folder(), observer.progress)
    observer.stage("loading the model")
    model, lora = load_model(provisioned, config.model.precision), config.model.lora
    if lora is not None:
        model = attach_lora(model, lora.rank, lora.alpha, lora.targets, config.run.seed)
    return provisioned, model


def _load_copy(provisioned: ProvisionedModel, model: LanguageModel) -> LanguageModel:
    """A second copy of the starting model, computed with as the first one is."""
    return replace(load_model(provisioned, "float32"), compute_dtype=model.compute_dtype)


def _plan(section: RunSection, started: float) -> Plan:
    return Plan(
        steps=section.steps,
        deadline=None if section.minutes is None else started + 60 * section.minutes,
        eval_interval=section.eval_interval,
        save_interval=section.save_interval,
    )


def _open_directory(config: RunConfig) -> RunDirectory:
    name = f"{config.data.task or (config.data.train and config.data.train.stem)}-{config.algorithm.name}"
    directory = RunDirectory.create(config.run.directory, name, datetime.now())
    resolved = config.model_copy(update={"run": config.run.model_copy(update={"directory": directory.path})})
    write_text(directory.config, dump_config(resolved))
    write_environment(directory.environment, describe_environment())
    return directory
