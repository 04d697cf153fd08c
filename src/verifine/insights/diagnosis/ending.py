"""How a run ended, where that explains why it learned nothing more."""

from __future__ import annotations

from collections.abc import Iterator

from verifine.insights.diagnosis.history import RunHistory
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity
from verifine.runs.events import Event
from verifine.runs.record import RunRecord

FEW_UPDATES = 20
"""Updates below which most models have hardly moved: half of them are the usual warm-up."""


def judge_ending(record: RunRecord, history: RunHistory, *, is_training: bool) -> Iterator[Finding]:
    """`is_training`: a process is at it, so there is no ending yet."""
    if is_training or not record.events:
        return
    last = record.events[-1]
    if last.type == "failed":
        yield _finding(Topic.FAILED, Severity.PROBLEM, f"The run failed: {last.fields.get('error')}", history)
    elif last.type == "paused" and last.fields.get("reason") == "disk_full":
        yield _disk_full(last, history)
    elif record.ending is None:
        yield _killed(record, history)
    elif history.updates < FEW_UPDATES and history.steps and "updates" in history.recent.reports[-1].metrics:
        yield from _few_updates(history)


def _disk_full(event: Event, history: RunHistory) -> Finding:
    found = f"The run paused because the disk was full: {event.fields.get('error')}"
    return _finding(Topic.DISK_FULL, Severity.PROBLEM, found, history, "Make room, then go on with `verifine resume`.")


def _killed(record: RunRecord, history: RunHistory) -> Finding:
    when = f"after step {record.steps}" if record.steps else "before its first step"
    return _finding(
        Topic.KILLED,
        Severity.PROBLEM,
        f"The run was killed {when}: it wrote no ending, and no process is training in its directory.",
        history,
        "Go on from its last checkpoint with `verifine resume`.",
        "If nobody killed it, memory may have run out: see the system's log, and lower optim.micro_batch_tokens.",
    )


def _few_updates(history: RunHistory) -> Iterator[Finding]:
    if history.has_improved:
        return
    warmup = history.config.optim.warmup_steps
    yield _finding(
        Topic.FEW_UPDATES,
        Severity.NOTE,
        f"The weights were updated {history.updates:.0f} times, and over the first {warmup} updates the learning rate "
        "only rises: that is little to learn in.",
        history,
        "Raise run.steps or run.minutes; 100 updates are a fair try.",
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
