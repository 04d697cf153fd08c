"""Every answer of a step with its grade: `rollouts/step-000012.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from verifine.machine.disk import LOCAL_DISK, Disk, write_whole
from verifine.runs.jsonl import read_rows, rows_to_bytes
from verifine.types import FinishReason, Group


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """One row: an answer, how likely each of its tokens was, what the grader said, and what it was worth."""

    step: int
    prompt_id: str
    sample: int
    """The rollout's place in its group, from 0."""
    prompt: str
    token_ids: tuple[int, ...]
    text: str
    logprobs: tuple[float | None, ...]
    finish_reason: FinishReason
    score: float | None
    reason: str | None
    parts: Mapping[str, float | None]
    format_ok: bool | None
    answer_ok: bool | None
    advantage: float | None
    """None: it was not a finite number."""


_RECORD = TypeAdapter(RolloutRecord)


def rollouts_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:06d}.jsonl"


def step_of_file(path: Path) -> int:
    """The step of a file that `rollouts_path` named."""
    return int(path.name.partition(".")[0].removeprefix("step-"))


def write_rollouts(
    folder: Path,
    step: int,
    groups: Sequence[Group],
    advantages: Sequence[Sequence[float]],
    prompt_texts: Sequence[str],
    disk: Disk = LOCAL_DISK,
) -> Path:
    """Write the graded groups of a step; `advantages` is [P][G] and `prompt_texts` is [P]."""
    path = rollouts_path(folder, step)
    rows = [
        asdict(record)
        for group, values, text in zip(groups, advantages, prompt_texts, strict=True)
        for record in _records(step, group, values, text)
    ]
    write_whole(path, rows_to_bytes(rows), disk)
    return path


def read_rollouts(path: Path) -> list[RolloutRecord]:
    return [_RECORD.validate_python(row) for row in read_rows(path)]


def _records(step: int, group: Group, advantages: Sequence[float], prompt_text: str) -> Iterator[RolloutRecord]:
    for sample, (rollout, grade, advantage) in enumerate(zip(group.rollouts, group.grades, advantages, strict=True)):
        yield RolloutRecord(
            step=step,
            prompt_id=group.prompt.id,
            sample=sample,
            prompt=prompt_text,
            token_ids=rollout.token_ids,
            text=rollout.text,
            logprobs=rollout.behaviour_logprobs,
            finish_reason=rollout.finish_reason,
            score=grade.score,
            reason=grade.reason,
            parts=dict(grade.parts),
            format_ok=grade.format_ok,
            answer_ok=grade.answer_ok,
            advantage=advantage,
        )
