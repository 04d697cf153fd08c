"""The stages of the check: data and graders, then memory, then the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from verifine.config import AnyGrader, RunConfig
from verifine.config.graders import GraderTraits
from verifine.config.graders.template import reads_item
from verifine.config.resolve import MachineFacts, ModelFacts, ResolvedConfig
from verifine.data.summary import summarize_data
from verifine.errors import VerifineError
from verifine.graders import Grader
from verifine.graders.probes import find_references
from verifine.insights.findings import TRAIN_ANYWAY, CheckVerdict, Severity, finding_text
from verifine.models.policy import Policy
from verifine.preflight.memory import Lengths, estimate_memory
from verifine.preflight.pace import estimate_pace
from verifine.preflight.probing import Tried, probe_grader
from verifine.preflight.report import Report
from verifine.preflight.trial import ask, measure, observe, work_of
from verifine.training.trainer import Trainer
from verifine.types import Example

MOST_SAMPLES = 8
"""Answers to a prompt that suffice to see whether their rewards differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much the check samples from the model."""

    rows: int | None = None
    """Prompts; None: those of one step."""
    samples: int | None = None
    """Answers to each; None: the run's group, at most MOST_SAMPLES."""


class NoGoError(VerifineError):
    """Training would fail or be useless; `report` says why."""

    exit_code: ClassVar[int] = 4

    def __init__(self, report: Report) -> None:
        blockers = [finding for finding in report.findings if finding.severity is Severity.BLOCKER]
        reasons = "\n".join(f"- {finding_text(each.what, each.evidence, each.remedies)}" for each in blockers)
        super().__init__(f"the check before training ended with no-go:\n{reasons}{TRAIN_ANYWAY}")
        self.report = report


def refuse_no_go(report: Report) -> Report:
    """Returns a report without a blocker.

    Raises:
        NoGoError: it has one, or more.
    """
    if report.verdict is CheckVerdict.NO_GO:
        raise NoGoError(report)
    return report


def check_inputs(
    run: RunConfig,
    train: Sequence[Example],
    held_out: Sequence[Example],
    grader: Grader,
    config: AnyGrader | None,
    clock: Callable[[], float],
    *,
    second: Grader | None = None,
) -> Report:
    """Checks the data, and the graders without a model.

    `config` is None for a grader from a Python program; `second` is the second grader, which sees held-out rows.
    """
    is_carved_out = run.data.task is None and run.data.eval is None
    tried = Tried(grader=grader, config=config, run=run, train=train, held_out=held_out, clock=clock)
    tried_second = None
    if second is not None and held_out:
        tried_second = replace(
            tried, grader=second, config=run.evaluation.grader, field="evaluation.grader", train=held_out, held_out=()
        )
    return Report(
        config=run,
        data=summarize_data(train, held_out, is_carved_out=is_carved_out, reference=partial(_reference, tried.traits)),
        grading=probe_grader(tried),
        second_grading=None if tried_second is None else probe_grader(tried_second),
    )


def _reference(traits: GraderTraits, row: Example) -> str | None:
    """The right answer of a row, as JSON; None: the grader compares with nothing of the row, or the row has it not."""
    of_rows = replace(traits, references=tuple(each for each in traits.references if reads_item(each)))
    found = find_references(of_rows, row.item)
    return json.dumps(found[0], ensure_ascii=False) if found else None


def check_memory(report: Report, config: ResolvedConfig, model: ModelFacts, machine: MachineFacts) -> Report:
    """Estimates the resident memory, which is known before the model is loaded."""
    nothing = Lengths(longest_prompt=0, usual_answer=0, longest_answer=0)
    memory = estimate_memory(config.memory_needs(model.shape), nothing, config.memory, machine.memory)
    return replace(report, resolved=config, model=model, memory=memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRun:
    """A run that is ready to begin."""

    config: ResolvedConfig
    trainer: Trainer
    policy: Policy
    held_out: int
    """Prompts of an evaluation."""


def check_model(report: Report, loaded: LoadedRun, extent: Extent) -> Report:
    """Samples answers to some prompts, and estimates from that what a step takes. `report` has the memory already."""
    config, trainer = loaded.config, loaded.trainer
    assert report.memory is not None
    assert report.model is not None
    prompts = trainer.source.measure()
    rows = min(extent.rows or trainer.prompts_per_step, prompts.prompts)
    asked = ask(trainer, rows, extent.samples or min(trainer.sampling.group_size, MOST_SAMPLES))
    sampling = observe(asked.groups, trainer.algorithm, config.sampling.max_new_tokens)
    timings = measure(asked, sampling, trainer, loaded.policy, config.optim.micro_batch_tokens)
    lengths = Lengths(
        longest_prompt=prompts.longest,
        usual_answer=sampling.mean_tokens,
        longest_answer=config.sampling.max_new_tokens,
    )
    needs = config.memory_needs(report.model.shape)
    return replace(
        report,
        resolved=config,
        lengths=prompts,
        memory=estimate_memory(needs, lengths, config.memory, report.memory.available),
        sampling=sampling,
        pace=estimate_pace(config, timings, work_of(trainer, config.algorithm), loaded.held_out),
    )
