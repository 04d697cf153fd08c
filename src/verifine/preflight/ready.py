"""A run made ready to begin: the model loaded, everything put together, and on the way checked."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from verifine.assemble import AuxiliaryModels, RunInputs, assemble, resolve, sampling_of
from verifine.config import AnyGrader, RunConfig
from verifine.graders import Grader
from verifine.machine.threads import decide_threads
from verifine.models.load import LanguageModel, load_model
from verifine.models.lora import attach_lora
from verifine.models.provision import ProvisionedModel, cache_folder, provision_model
from verifine.models.threads import use_threads
from verifine.preflight.check import Extent, Loaded, check_materials, check_memory, check_model, refuse_no_go
from verifine.preflight.report import Report
from verifine.preflight.warm_start import find_start, take_over_weights
from verifine.rollout.engine import RolloutEngine
from verifine.training.evaluate import EvalSet, eval_sampling
from verifine.training.memory import MemoryPlan
from verifine.training.run import Observer
from verifine.training.state import RunState
from verifine.training.trainer import Trainer
from verifine.types import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """The grader of a run."""

    grader: Grader
    config: AnyGrader | None
    """None: a Python program brought it."""
    truth: Grader | None = None
    """The second grader, which training never sees; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A run that could begin."""

    config: RunConfig
    """Resolved."""
    source: ProvisionedModel
    """The model's files."""
    start: str | None
    """The sha256 of the checkpoint whose weights were taken over; None: none were."""
    model: LanguageModel
    budget: MemoryPlan
    trainer: Trainer
    eval_set: EvalSet
    report: Report | None
    """None: nothing was checked."""


def prepare(
    inputs: RunInputs,
    scoring: Scoring,
    observer: Observer,
    *,
    extent: Extent | None = None,
    going_on: RunState | None = None,
) -> Ready:
    """Loads the model and puts everything together; on the way it checks as much as `extent` says, None: nothing.

    `going_on` is what a run was like whose weights are brought later, and which shares out memory as it did.

    Raises:
        NoGoError: as soon as a blocker is found: before the model is loaded where that is soon enough.
        VerifineError: the model or the data cannot be used.
    """
    use_threads(decide_threads(), os.environ)
    report = None
    if extent is not None:
        observer.stage("trying the grader")
        observed = check_materials(inputs, scoring.grader, scoring.config, time.monotonic, truth=scoring.truth)
        report = refuse_no_go(observed)
    provisioned = provision_model(inputs.config.model.name, cache_folder(), observer.progress)
    if report is not None:
        report = refuse_no_go(check_memory(report, provisioned))
    observer.stage("loading the model")
    model = _load(provisioned, inputs.config)
    config = resolve(inputs.config, model)
    start = None
    if going_on is None and config.model.start_from is not None:
        start = find_start(config.model.start_from)
        take_over_weights(model.network, start)
        config = _starting_from(config, start.folder)
    budget = None if going_on is None else going_on.budget
    auxiliary = AuxiliaryModels.wanted(config, lambda: _load_copy(provisioned, model))
    assembly = assemble(replace(inputs, config=config), model, scoring.grader, auxiliary, time.monotonic, budget)
    config, held_out = assembly.config, assembly.held_out
    if report is not None and extent is not None:
        observer.stage("asking the model before it has learned anything")
        loaded = Loaded(
            config=config, budget=assembly.budget, trainer=assembly.trainer, model=model, held_out=len(held_out)
        )
        report = refuse_no_go(check_model(report, loaded, extent))
    return Ready(
        config=config,
        source=provisioned,
        start=None if start is None else start.sha256,
        model=model,
        budget=assembly.budget,
        trainer=assembly.trainer,
        eval_set=build_eval_set(config, scoring, assembly.trainer.engine, held_out),
        report=report,
    )


def build_eval_set(config: RunConfig, scoring: Scoring, engine: RolloutEngine, prompts: Sequence[Prompt]) -> EvalSet:
    """Held-out prompts as `config.evaluation` wants them asked and judged."""
    evaluation = config.evaluation
    return EvalSet(
        prompts=prompts,
        engine=engine,
        grader=scoring.grader,
        truth=scoring.truth,
        sampling=eval_sampling(sampling_of(config), evaluation.samples, evaluation.temperature),
        pass_score=evaluation.passing(scoring.config),
    )


def _load(provisioned: ProvisionedModel, config: RunConfig) -> LanguageModel:
    model, lora = load_model(provisioned, config.model.precision), config.model.lora
    if lora is not None:
        return attach_lora(model, lora.rank, lora.alpha, lora.targets, config.run.seed)
    return model


def _starting_from(config: RunConfig, folder: Path) -> RunConfig:
    """The config with the very checkpoint that the weights were taken from."""
    return config.model_copy(update={"model": config.model.model_copy(update={"start_from": folder})})


def _load_copy(provisioned: ProvisionedModel, model: LanguageModel) -> LanguageModel:
    """A second copy of the starting model, computed with as the first one is."""
    return replace(load_model(provisioned, "float32"), compute_dtype=model.compute_dtype)
