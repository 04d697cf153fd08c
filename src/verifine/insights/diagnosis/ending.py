"""How a run ended, where that explains why it learned nothing more."""

from __future__ import annotations

from collections.abc import Iterator

from verifine.insights.diagnosis.finding import Finding, Severity, Topic
from verifine.insights.diagnosis.story import Story
from verifine.insights.record import RunRecord
from verifine.runs.events import Event

FEW_UPDATES = 20
"""Updates below which most models have hardly moved: half of them are the usual warm-up."""


def judge_ending(record: RunRecord, story: Story, *, is_training: bool) -> Iterator[Finding]:
    """`is_training`: a process is at it, so there is no ending yet."""
    if is_training or not record.events:
        return
    last = record.events[-1]
    if last.type == "failed":
        yield _finding(Topic.FAILED, Severity.PROBLEM, f"The run failed: {last.fields.get('error')}", story)
    elif last.type == "paused" and last.fields.get("reason") == "disk_full":
        yield _disk_full(last, story)
    elif record.ending is None:
        yield _killed(record, story)
    elif story.updates < FEW_UPDATES and story.steps and "updates" in story.recent.reports[-1].metrics:
        yield from _few_updates(story)


def _disk_full(event: Event, story: Story) -> Finding:
    found = f"The run paused because the disk was full: {event.fields.get('error')}"
    return _finding(Topic.DISK_FULL, Severity.PROBLEM, found, story, "Make room, then go on with `verifine resume`.")


def _killed(record: RunRecord, story: Story) -> Finding:
    when = f"after step {record.steps}" if record.steps else "before its first step"
    return _finding(
        Topic.KILLED,
        Severity.PROBLEM,
        f"The run was killed {when}: it wrote no ending, and no process is training in its directory.",
        story,
        "Go on from its last checkpoint with `verifine resume`.",
        "If nobody killed it, memory may have run out: see the system's log, and lower optim.micro_batch_tokens.",
    )


def _few_updates(story: Story) -> Iterator[Finding]:
    if story.has_improved:
        return
    warmup = story.config.optim.warmup_steps
    yield _finding(
        Topic.FEW_UPDATES,
        Severity.NOTE,
        f"The weights were updated {story.updates:.0f} times, and over the first {warmup} updates the learning rate "
        "only rises: that is little to learn in.",
        story,
        "Raise run.steps or run.minutes; 100 updates are a fair try.",
    )


def _finding(topic: Topic, severity: Severity, found: str, story: Story, *changes: str) -> Finding:
    return Finding(
        topic=topic,
        severity=severity,
        found=found,
        evidence={"steps": float(story.steps), "updates": story.updates},
        steps=story.recent.span,
        changes=changes,
    )
