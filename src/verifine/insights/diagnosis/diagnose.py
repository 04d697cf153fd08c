"""All findings about a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from verifine.insights.diagnosis import (
    engine_mismatch,
    entropy,
    generalisation,
    grader_health,
    length,
    policy_shift,
    rate,
    resources,
    reward,
    signal,
)
from verifine.insights.diagnosis.ending import judge_ending
from verifine.insights.diagnosis.history import RunHistory
from verifine.insights.diagnosis.progress import judge_progress
from verifine.insights.findings import Finding, by_severity, finding_numbers
from verifine.runs.record import RunRecord
from verifine.types import Json

Rule = Callable[[RunHistory], Finding | None]

RULES: Sequence[Rule] = tuple(
    rule
    for family in (
        rate,
        signal,
        reward,
        generalisation,
        entropy,
        policy_shift,
        length,
        grader_health,
        engine_mismatch,
        resources,
    )
    for rule in family.RULES
)


def diagnose(record: RunRecord, now: datetime | None = None) -> list[Finding]:
    """The findings about a recorded run, the most severe first. `now` None: whether it gets on is not judged."""
    history = replay(record)
    stalled = [] if now is None else judge_progress(record, now)
    return by_severity([*judge_ending(record, history), *stalled, *apply_rules(history)])


def apply_rules(history: RunHistory) -> list[Finding]:
    """The findings from steps and evaluations, the most severe first."""
    return by_severity(finding for rule in RULES if (finding := rule(history)) is not None)


def replay(record: RunRecord) -> RunHistory:
    """The history of a recorded run, with each evaluation after the steps before it."""
    history, evaluations = RunHistory(record.config), list(record.evaluations)
    for report in record.metrics:
        while evaluations and evaluations[0][0] < report.step:
            history.tell_evaluation(evaluations.pop(0)[1])
        history.tell(report)
    for _, evaluation in evaluations:
        history.tell_evaluation(evaluation)
    return history


def diagnosis_numbers(findings: Sequence[Finding], steps: int) -> dict[str, Json]:
    """What `verifine doctor --json` prints; `steps` is the number of steps."""
    return {"steps": steps, "findings": [finding_numbers(finding) for finding in findings]}
