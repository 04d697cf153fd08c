"""Everything that stands out in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from verifine.insights.diagnosis import (
    engine,
    entropy,
    generalisation,
    grading,
    length,
    policy,
    rate,
    resources,
    reward,
    signal,
)
from verifine.insights.diagnosis.ending import judge_ending
from verifine.insights.diagnosis.finding import Finding
from verifine.insights.diagnosis.story import Story
from verifine.insights.record import RunRecord

Rule = Callable[[Story], Finding | None]

RULES: Sequence[Rule] = tuple(
    rule
    for family in (rate, signal, reward, generalisation, entropy, policy, length, grading, engine, resources)
    for rule in family.RULES
)


def diagnose(record: RunRecord, *, is_training: bool = True) -> list[Finding]:
    """The worst first. `is_training`: a process is still at it, so that a run without an ending was not killed."""
    story = tell(record)
    return by_severity([*judge_ending(record, story, is_training=is_training), *judge(story)])


def judge(story: Story) -> list[Finding]:
    """What the steps and evaluations say, the worst first."""
    return by_severity(finding for rule in RULES if (finding := rule(story)) is not None)


def tell(record: RunRecord) -> Story:
    """A run from its beginning, each evaluation after the steps that came before it."""
    story, evaluations = Story(record.config), list(record.evaluations)
    for report in record.metrics:
        while evaluations and evaluations[0][0] < report.step:
            story.tell_evaluation(evaluations.pop(0)[1])
        story.tell(report)
    for _, evaluation in evaluations:
        story.tell_evaluation(evaluation)
    return story


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: finding.severity.rank)
