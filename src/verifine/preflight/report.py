"""The check of a run: all facts, all findings and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from verifine.config import RunConfig
from verifine.config.resolve import ModelFacts, ResolvedConfig
from verifine.data.summary import DataSummary
from verifine.insights.findings import CheckVerdict, Finding, Severity, by_severity, conclude_check
from verifine.preflight.data import judge_data
from verifine.preflight.grading import GradingFacts, judge_grading
from verifine.preflight.memory import MemoryEstimate, judge_memory
from verifine.preflight.pace import PaceEstimate, judge_pace
from verifine.preflight.prompts import PromptFacts, judge_prompts
from verifine.preflight.sampling import SamplingFacts, judge_sampling
from verifine.training.source import PromptLengths


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is known so far; None: the check has not got there. It has no slots, so that it can keep its findings."""

    config: RunConfig
    """The config as it was given."""
    data: DataSummary
    grading: GradingFacts
    second_grading: GradingFacts | None = None
    """The facts about the second grader, on held-out rows; None also if there is none."""
    resolved: ResolvedConfig | None = None
    model: ModelFacts | None = None
    memory: MemoryEstimate | None = None
    prompts: PromptFacts | None = None
    lengths: PromptLengths | None = None
    sampling: SamplingFacts | None = None
    pace: PaceEstimate | None = None

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The worst first, otherwise in the order of the parts."""
        found = [*judge_data(self.data, self.config), *judge_grading(self.grading)]
        if self.second_grading is not None:
            found += judge_grading(self.second_grading)
        if self.prompts is not None:
            found += judge_prompts(self.prompts, self.config.model)
        if self.sampling is not None:
            found += judge_sampling(self.sampling, self.resolved or self.config, self.grading.recognised)
            found += _idle_answers(self.grading, self.sampling)
        if self.pace is not None:
            found += judge_pace(self.pace, self.config)
        if self.memory is not None:
            found += judge_memory(self.memory, self.config)
        return tuple(by_severity(found))

    @property
    def verdict(self) -> CheckVerdict:
        return conclude_check(self.findings)


def _idle_answers(grading: GradingFacts, sampling: SamplingFacts) -> Iterator[Finding]:
    """Empty text and nonsense must not score higher than the model's answers."""
    usual = sampling.scores.mean
    known = {"empty text": grading.empty.mean, "nonsense": grading.nonsense.mean}
    better = {name: mean for name, mean in known.items() if mean is not None and usual is not None and mean > usual}
    if not better:
        return
    yield Finding(
        severity=Severity.WARNING,
        name="idle_answers_pay",
        what="Empty text or nonsense scores higher than the model's answers, so it may learn to write just that.",
        evidence=", ".join([*(f"{name} {mean:.2f}" for name, mean in better.items()), f"the model {usual:.2f}"]),
        remedies=("Let the grader give less for text that is not an answer.",),
    )
