"""The answers of a step: its groups, and each answer of a group with its tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from pydantic import BaseModel

from verifine.errors import VerifineError
from verifine.runs.directory import RunDirectory
from verifine.runs.rollouts import RolloutRecord, read_rollouts, read_tokens, rollouts_path, step_of_file
from verifine.service.whole_text import WholeText
from verifine.types import FinishReason

DECIMALS = 6


class UnknownRolloutsError(VerifineError):
    """A step or group that has no saved answers."""


class TokenView(BaseModel):
    """The tokens of an answer; null: not known, or no finite number."""

    ids: list[int]
    logprobs: list[float | None]
    """Under the distribution that each was drawn from."""
    entropy: list[float | None]
    """Nats."""
    ratio: list[float | None]
    advantage: list[float | None]
    text_ends: list[int]
    """How many characters of the text are complete after each token; -1: not known."""


class AnswerView(BaseModel):
    """An answer, what the grader said of it, and what it was worth."""

    sample: int
    """Its place in the group, from 0."""
    text: WholeText
    answer_start: int
    """Where the answer begins in the text, behind the thought."""
    finish_reason: FinishReason
    score: float | None
    """null: the grader could not score it; `reason` says why."""
    reason: WholeText | None
    parts: dict[WholeText, float | None]
    format_ok: bool | None
    answer_ok: bool | None
    reward: float | None
    """The score as the algorithm shaped it."""
    advantage: float | None
    chosen: bool
    """false: it was drawn in search of other answers, and not trained on."""
    reasoning_tokens: int | None
    tokens: TokenView | None
    """null: they were not asked for, or not saved."""


class GroupSummary(BaseModel):
    """The answers to one prompt, in numbers."""

    group: int
    """Its place in the step, from 0."""
    prompt_id: WholeText
    prompt: WholeText
    """As the model read it; its beginning where it is long."""
    answers: int
    right: int | None
    """null: the grader does not judge answers."""
    unscorable: int
    mean_score: float | None
    best_score: float | None
    worst_score: float | None


class GroupPage(BaseModel):
    """Groups of a step."""

    step: int
    total: int
    """Groups of the step."""
    groups: list[GroupSummary]


class GroupView(BaseModel):
    """One group with all its answers, the best first."""

    step: int
    group: int
    prompt_id: WholeText
    prompt: WholeText
    answers: list[AnswerView]


class SavedSteps(BaseModel):
    """The steps that have saved answers."""

    steps: list[int]


SHOWN_CHARACTERS = 400
"""Of a prompt, in the summary of its group."""


def list_saved_steps(directory: RunDirectory) -> SavedSteps:
    return SavedSteps(steps=sorted(step_of_file(path) for path in directory.rollouts.glob("step-*.jsonl")))


def list_groups(directory: RunDirectory, step: int, offset: int, limit: int) -> GroupPage:
    """Raises UnknownRolloutsError."""
    groups = read_groups(directory, step)
    shown = list(enumerate(groups))[offset : offset + limit]
    return GroupPage(step=step, total=len(groups), groups=[_summarize(group, records) for group, records in shown])


def view_group(directory: RunDirectory, step: int, group: int, *, with_tokens: bool) -> GroupView:
    """Raises UnknownRolloutsError."""
    groups = read_groups(directory, step)
    if group >= len(groups):
        raise UnknownRolloutsError(f"step {step} has {len(groups)} groups, counted from 0")
    records = groups[group]
    tokens: Mapping[int, TokenView] = _read_tokens(directory, step, records) if with_tokens else {}
    answers = [_view(record, tokens.get(record.sample)) for record in sorted(records, key=_rank)]
    return GroupView(step=step, group=group, prompt_id=records[0].prompt_id, prompt=records[0].prompt, answers=answers)


def read_groups(directory: RunDirectory, step: int) -> list[list[RolloutRecord]]:
    """The answers of a step by prompt, in the order of the prompts.

    Raises:
        UnknownRolloutsError: the step has none.
    """
    records: list[RolloutRecord] = []
    with suppress(FileNotFoundError):  # they may be removed while they are read
        records = read_rollouts(rollouts_path(directory.rollouts, step))
    if not records:
        raise UnknownRolloutsError(f"step {step} has no saved answers; it was not reached, or they were removed")
    groups: dict[str, list[RolloutRecord]] = {}
    for record in records:
        groups.setdefault(record.prompt_id, []).append(record)
    return list(groups.values())


def _read_tokens(directory: RunDirectory, step: int, records: Sequence[RolloutRecord]) -> dict[int, TokenView]:
    """By the answer's place in its group. The tokens of a group lie end to end, so they are read at once."""
    places = {record.sample: record.tokens for record in records if record.tokens is not None}
    if not places:
        return {}
    first, last = min(start for start, _ in places.values()), max(end for _, end in places.values())
    try:
        columns = read_tokens(rollouts_path(directory.rollouts, step), first, last)
    except FileNotFoundError:
        return {}
    views = {}
    for sample, (start, end) in places.items():
        part = slice(start - first, end - first)
        views[sample] = TokenView(
            ids=columns.ids[part].tolist(),
            logprobs=_numbers(columns.logprobs[part].tolist()),
            entropy=_numbers(columns.numbers.entropy[part].tolist()),
            ratio=_numbers(columns.numbers.ratio[part].tolist()),
            advantage=_numbers(columns.numbers.advantage[part].tolist()),
            text_ends=columns.numbers.text_ends[part].tolist(),
        )
    return views


def _summarize(group: int, records: Sequence[RolloutRecord]) -> GroupSummary:
    scores = [record.score for record in records if record.score is not None]
    verdicts = [record.answer_ok for record in records if record.answer_ok is not None]
    return GroupSummary(
        group=group,
        prompt_id=records[0].prompt_id,
        prompt=records[0].prompt[:SHOWN_CHARACTERS],
        answers=len(records),
        right=sum(verdicts) if verdicts else None,
        unscorable=len(records) - len(scores),
        mean_score=sum(scores) / len(scores) if scores else None,
        best_score=max(scores, default=None),
        worst_score=min(scores, default=None),
    )


def _view(record: RolloutRecord, tokens: TokenView | None) -> AnswerView:
    return AnswerView(
        sample=record.sample,
        text=record.text,
        answer_start=record.answer_start,
        finish_reason=record.finish_reason,
        score=record.score,
        reason=record.reason,
        parts=dict(record.parts),
        format_ok=record.format_ok,
        answer_ok=record.answer_ok,
        reward=record.reward,
        advantage=record.advantage,
        chosen=record.chosen,
        reasoning_tokens=record.reasoning_tokens,
        tokens=tokens,
    )


def _rank(record: RolloutRecord) -> tuple[float, int]:
    """The best first, those without a score last."""
    return (math.inf if record.score is None else -record.score, record.sample)


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [round(value, DECIMALS) if math.isfinite(value) else None for value in values]
