"""A run made ready to begin: the model loaded, everything put together, and on the way checked."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace

from verifine.assemble import Copies, Materials, assemble, resolve
from verifine.config import AnyGrader, RunConfig
from verifine.graders import Grader
from verifine.machine.threads import decide_threads
from verifine.models.load import LanguageModel, load_model
from verifine.models.lora import attach_lora
from verifine.models.provision import ProvisionedModel, cache_folder, provision_model
from verifine.models.threads import use_threads
from verifine.preflight.check import Extent, Loaded, check_materials, check_memory, check_model, refuse_no_go
from verifine.preflight.report import Report
from verifine.train.loop import Observer
from verifine.train.trainer import Trainer
from verifine.types import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """The grader of a run."""

    grader: Grader
    config: AnyGrader | None
    """None: a Python program brought it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A run that could begin."""

    config: RunConfig
    """Resolved."""
    source: str
    """Where the model came from, in words."""
    model: LanguageModel
    trainer: Trainer
    held_out: list[Prompt]
    report: Report | None
    """None: nothing was checked."""


def prepare(materials: Materials, scoring: Scoring, observer: Observer, extent: Extent | None) -> Ready:
    """Loads the model and puts everything together; on the way it checks as much as `extent` says, None: nothing.

    Raises:
        NoGoError: as soon as a blocker is found: before the model is loaded where that is soon enough.
        VerifineError: the model or the data cannot be used.
    """
    use_threads(decide_threads(), os.environ)
    report = None
    if extent is not None:
        observer.stage("trying the grader")
        report = refuse_no_go(check_materials(materials, scoring.grader, scoring.config, time.monotonic))
    provisioned = provision_model(materials.config.model.name, cache_folder(), observer.progress)
    if report is not None:
        report = refuse_no_go(check_memory(report, provisioned))
    observer.stage("loading the model")
    model = _load(provisioned, materials.config)
    config = resolve(materials.config, model)
    copies = Copies.wanted(config, lambda: _load_copy(provisioned, model))
    assembly = assemble(replace(materials, config=config), model, scoring.grader, copies, time.monotonic)
    config, held_out = assembly.config, assembly.held_out
    if report is not None and extent is not None:
        observer.stage("asking the model before it has learned anything")
        loaded = Loaded(
            config=config, budget=assembly.budget, trainer=assembly.trainer, model=model, held_out=len(held_out)
        )
        report = refuse_no_go(check_model(report, loaded, extent))
    return Ready(
        config=config,
        source=provisioned.source,
        model=model,
        trainer=assembly.trainer,
        held_out=held_out,
        report=report,
    )


def _load(provisioned: ProvisionedModel, config: RunConfig) -> LanguageModel:
    model, lora = load_model(provisioned, config.model.precision), config.model.lora
    return model if lora is None else attach_lora(model, lora.rank, lora.alpha, lora.targets, config.run.seed)


def _load_copy(provisioned: ProvisionedModel, model: LanguageModel) -> LanguageModel:
    """A second copy of the starting model, computed with as the first one is."""
    return replace(load_model(provisioned, "float32"), compute_dtype=model.compute_dtype)
