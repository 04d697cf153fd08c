"""From a RunConfig to a run: the only place that knows every implementation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from verifine.algorithms.recipes import RECIPES, Algorithm
from verifine.config import AlgorithmConfig, GraderConfig, RunConfig, RunSection, dump_config
from verifine.data import hold_out, read_examples
from verifine.errors import ConfigError, DataError
from verifine.graders import CallableGrader, GradeFunction, Grader, build_grader
from verifine.learner.local import LocalLearner
from verifine.learner.optim import OptimSettings
from verifine.models.chat import prompt_text, render_prompt
from verifine.models.load import LanguageModel, load_model
from verifine.models.provision import cache_folder, provision_model
from verifine.rollout.native import NativeEngine
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import describe_environment, write_environment
from verifine.runs.evaluation import Evaluation
from verifine.runs.report import write_report
from verifine.tasks import load_task
from verifine.train.loop import Observer, Plan, Run, Summary, execute
from verifine.train.recorder import Recorder
from verifine.train.source import PromptSource
from verifine.train.trainer import Trainer
from verifine.types import Example, Prompt, Sampling, StepReport

TASK_EXAMPLES = 4096
"""Problems that a built-in task trains on, unless it has fewer."""

SMALL_MODEL_PARAMETERS = 1_000_000_000

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What a run is made from, read and checked; no model is loaded yet."""

    config: RunConfig
    """Everything resolved that does not depend on the model."""
    train: Sequence[Example]
    held_out: Sequence[Example]
    grader: GraderConfig | None
    """None: the caller brings a grader of its own."""


def gather(config: RunConfig) -> Materials:
    """Reads the data a config names.

    Raises:
        DataError: a file is not what it should be, or holds too little.
    """
    if config.data.task is not None:
        task = load_task(
            config.data.task, seed=config.run.seed, train_size=TASK_EXAMPLES, held_out_size=config.data.eval_size
        )
        return Materials(
            config=_with_answer_length(config, task.max_new_tokens),
            train=task.train,
            held_out=task.held_out,
            grader=task.grader,
        )
    assert config.data.train is not None
    examples = read_examples(config.data.train)
    if config.data.eval is not None:
        train, held_out = examples, read_examples(config.data.eval)[: config.data.eval_size]
    else:
        train, held_out = hold_out(examples, config.run.seed, config.data.eval_size)
    if len(train) < config.sampling.prompts_per_step:
        raise DataError(
            f"{config.data.train} leaves {len(train)} examples to train on, fewer than the "
            f"{config.sampling.prompts_per_step} of one step. Add examples or lower sampling.prompts_per_step."
        )
    return Materials(config=_with_answer_length(config, 256), train=train, held_out=held_out, grader=config.grader)


def assemble(
    materials: Materials,
    model: LanguageModel,
    grader: Grader,
    reference: LanguageModel | None,
    clock: Callable[[], float],
) -> tuple[Trainer, list[Prompt]]:
    """The trainer, and the held-out prompts.

    Raises:
        DataError: an example's prompt does not fit the model.
    """
    config = materials.config
    assert config.sampling.max_new_tokens is not None
    assert config.optim.learning_rate != "auto"
    max_new_tokens = config.sampling.max_new_tokens
    prompts = {example.id: render_prompt(model, example, max_new_tokens) for example in materials.train}
    held_out = [
        replace(render_prompt(model, example, max_new_tokens), id=f"held-out/{example.id}")
        for example in materials.held_out
    ]
    settings = OptimSettings(
        learning_rate=config.optim.learning_rate,
        warmup_steps=config.optim.warmup_steps,
        betas=config.optim.betas,
        weight_decay=config.optim.weight_decay,
        max_grad_norm=config.optim.max_grad_norm,
        micro_batch_tokens=config.optim.micro_batch_tokens,
    )
    trainer = Trainer(
        source=PromptSource(materials.train, prompts, config.run.seed),
        engine=NativeEngine(model),
        grader=grader,
        algorithm=build_algorithm(config.algorithm),
        learner=LocalLearner(model, settings, config.sampling.temperature, reference),
        sampling=Sampling(
            group_size=config.sampling.group_size,
            max_new_tokens=max_new_tokens,
            temperature=config.sampling.temperature,
            stop=config.sampling.stop,
            seed=config.run.seed,
        ),
        prompts_per_step=config.sampling.prompts_per_step,
        max_resample=config.algorithm.max_resample,
        clock=clock,
    )
    return trainer, held_out


def build_algorithm(config: AlgorithmConfig) -> Algorithm:
    """An algorithm's row of the table, with what the config changes."""
    row = RECIPES[config.name]
    loss = replace(
        row.loss,
        clip_low=row.loss.clip_low if config.clip_low is None else config.clip_low,
        clip_high=row.loss.clip_high if config.clip_high is None else config.clip_high,
        beta=config.beta,
    )
    return replace(row, loss=loss, overlong_buffer=config.overlong_buffer, drops_truncated=config.drop_truncated)


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
            that returns a number.
        observer: Is told how the run goes.
        is_interrupted: Asked before each step; True ends training, and the model is saved as it is.
        started: When `run.minutes` began, on `time.monotonic`; None: now.

    Raises:
        VerifineError: something about the config, the data, the grader or the model is wrong; see `verifine.errors`.
    """
    started = time.monotonic() if started is None else started
    materials = gather(config)
    scoring = _resolve_grader(materials, grader)
    try:
        provisioned = provision_model(config.model.name, cache_folder(), observer.progress)
        observer.stage("loading the model")
        model = load_model(provisioned, config.model.precision)
        reference = load_model(provisioned, config.model.precision) if config.algorithm.beta else None
        materials = replace(materials, config=_with_learning_rate(materials.config, model))
        trainer, held_out = assemble(materials, model, scoring, reference, time.monotonic)
        directory = _open_directory(materials.config)
        run = Run(
            trainer=trainer,
            model=model,
            held_out=held_out,
            plan=_plan(config.run, started),
            directory=directory,
            recorder=Recorder(directory, model, _now),
            observer=observer,
            is_interrupted=is_interrupted,
        )
        try:
            summary = execute(run)
        finally:
            # A run that failed has a story to tell as well.
            observer.stage("writing the report")
            write_report(directory)
    finally:
        scoring.close()
    return TrainedRun(directory=directory, summary=summary, seconds=time.monotonic() - started)


def rehearse(config: RunConfig, observer: Observer = SILENT) -> Rehearsal:
    """Does everything up to the first sample: reads the data, builds the grader, loads the model, renders prompts.

    Raises:
        VerifineError: whatever `train` would have found wrong before it began.
    """
    materials = gather(config)
    scoring = _resolve_grader(materials, None)
    try:
        provisioned = provision_model(config.model.name, cache_folder(), observer.progress)
        observer.stage("loading the model")
        model = load_model(provisioned, config.model.precision)
        materials = replace(materials, config=_with_learning_rate(materials.config, model))
        trainer, held_out = assemble(materials, model, scoring, None, time.monotonic)
    finally:
        scoring.close()
    return Rehearsal(
        config=materials.config,
        train_examples=len(materials.train),
        held_out_examples=len(held_out),
        prompt_texts=tuple(prompt_text(model, prompt) for prompt in trainer.source.draw(0, REHEARSED_PROMPTS)),
        model=f"{provisioned.name}, {model.parameter_count / 1e6:.0f} M weights, from the {provisioned.source}",
    )


def _resolve_grader(materials: Materials, grader: Grader | GradeFunction | None) -> Grader:
    if grader is not None:
        return CallableGrader(grader) if callable(grader) else grader
    if materials.grader is None:
        raise ConfigError(
            "grader: missing; data of your own needs one, for example {type: answer, compare: number}. "
            "See `verifine train --help` for the presets."
        )
    return build_grader(materials.grader)


def _with_learning_rate(config: RunConfig, model: LanguageModel) -> RunConfig:
    if config.optim.learning_rate != "auto":
        return config
    rate = 1e-5 if model.parameter_count < SMALL_MODEL_PARAMETERS else 1e-6
    return config.model_copy(update={"optim": config.optim.model_copy(update={"learning_rate": rate})})


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


def _now() -> datetime:
    return datetime.now(UTC)


def _with_answer_length(config: RunConfig, default: int) -> RunConfig:
    if config.sampling.max_new_tokens is not None:
        return config
    sampling = config.sampling.model_copy(update={"max_new_tokens": default})
    if config.algorithm.overlong_buffer >= default:
        raise ConfigError(
            f"algorithm.overlong_buffer must be smaller than sampling.max_new_tokens, which is {default}."
        )
    return config.model_copy(update={"sampling": sampling})
