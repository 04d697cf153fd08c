"""Findings about how a run ended, where that explains why it learned no more."""

from __future__ import annotations

from collections.abc import Iterator

from verifine.insights.diagnosis.groups import is_solved
from verifine.insights.diagnosis.history import RunHistory
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity
from verifine.runs.events import last_end
from verifine.runs.record import RunRecord
from verifine.runs.status import DISK_FULL, SOLVED, Status

FEW_UPDATES = 20
"""With fewer updates than this most models have hardly changed: half of these are the usual warm-up."""


def judge_ending(record: RunRecord, history: RunHistory) -> Iterator[Finding]:
    """No findings while a process trains."""
    status, end = record.status, last_end(record.events)
    error = None if end is None else end.error
    if status.status is Status.FAILED:
        yield _finding(Topic.FAILED, Severity.PROBLEM, f"The run failed: {error}", history)
    elif status.status is Status.PAUSED and status.reason == DISK_FULL:
        found = f"The run paused because the disk was full: {error}"
        hint = "Free some space, then continue with `verifine resume`."
        yield _finding(Topic.DISK_FULL, Severity.PROBLEM, found, history, hint)
    elif status.status is Status.KILLED:
        yield _killed(record, history)
    elif status.status.has_ended and status.reason != SOLVED and _counts_updates(history):
        yield from _few_updates(history)


def _counts_updates(history: RunHistory) -> bool:
    return history.steps > 0 and "updates" in history.recent.reports[-1].metrics


def _killed(record: RunRecord, history: RunHistory) -> Finding:
    when = f"after step {record.steps}" if record.steps else "before its first step"
    return _finding(
        Topic.KILLED,
        Severity.PROBLEM,
        f"The run was killed {when}: there is no end in events.jsonl, and its process is gone.",
        history,
        "Continue from its last checkpoint with `verifine resume`.",
        "If you did not kill it, memory may have run out: see the system's log, and lower optim.micro_batch_tokens.",
    )


def _few_updates(history: RunHistory) -> Iterator[Finding]:
    if history.updates >= FEW_UPDATES or history.has_improved:
        return
    if history.updates == 0 and history.recent.mean("frac_reward_zero_std") == 1:
        yield _knew_it_all(history) if is_solved(history, history.recent) else _never_updated(history)
        return
    if history.steps >= 2 * FEW_UPDATES:
        return  # it is for lack of signal, not of time
    warmup = history.config.optim.warmup_steps
    rising = f", and the learning rate rises over the first {warmup}" if warmup else ""
    yield _finding(
        Topic.FEW_UPDATES,
        Severity.NOTE,
        f"The weights were updated {history.updates:.0f} times{rising}, so the model has had little time to learn.",
        history,
        "Raise run.steps or run.minutes; allow at least 100 updates.",
    )


def _knew_it_all(history: RunHistory) -> Finding:
    return _finding(
        Topic.FEW_UPDATES,
        Severity.WARNING,
        "The weights were never updated: in every step nearly all answers were right, so there was nothing to learn.",
        history,
        "Train on harder prompts (data.train).",
    )


def _never_updated(history: RunHistory) -> Finding:
    return _finding(
        Topic.FEW_UPDATES,
        Severity.PROBLEM,
        "The weights were never updated: in every step all answers to each prompt got the same reward.",
        history,
        "Take easier or harder prompts, of which the model gets some right (data.train).",
        "Show a solved example in the prompt or say how to answer (data.system_prompt), or let the grader give "
        "something for a part of the task (format_weight, weighted).",
    )


def _finding(topic: Topic, severity: Severity, found: str, history: RunHistory, *changes: str) -> Finding:
    return Finding(
        name=topic,
        severity=severity,
        what=found,
        numbers={"steps": float(history.steps), "updates": history.updates},
        steps=history.recent.span,
        remedies=changes,
    )
