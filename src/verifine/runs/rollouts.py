"""Every answer of a step.

`rollouts/step-000012.jsonl` has a row of facts an answer. `step-000012.safetensors` beside it has columns with numbers
of every token, which are read a part at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.numpy import save

from verifine.machine.disk import LOCAL_DISK, Disk, write_whole
from verifine.runs.jsonl import read_rows, rows_to_bytes
from verifine.types import FinishReason, Group, Rollout, VersionSpan

BYTES_PER_TOKEN = 18
"""Bytes of the columns, for each token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenNumbers:
    """Numbers of each token of an answer. NaN: not known, as for tokens that no update read."""

    entropy: npt.NDArray[np.float16]
    """The policy's entropy where the token was sampled, in nats."""
    ratio: npt.NDArray[np.float16]
    """The token's probability under the updated policy divided by that under the old one, in the first update."""
    advantage: npt.NDArray[np.float16]
    text_ends: npt.NDArray[np.int32]
    """How many characters of the text are complete after the token; -1: not known."""

    @classmethod
    def unknown(cls, count: int) -> TokenNumbers:
        nothing = np.full(count, np.nan, dtype=np.float16)
        return cls(entropy=nothing, ratio=nothing, advantage=nothing, text_ends=np.full(count, -1, dtype=np.int32))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenColumns:
    """The tokens of one or more answers, end to end."""

    ids: npt.NDArray[np.int32]
    logprobs: npt.NDArray[np.float32]
    """Under the distribution that the token was drawn from."""
    numbers: TokenNumbers


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedGroup:
    """What is written of a group; a value a rollout in each sequence."""

    group: Group
    prompt: str
    """As the model read it."""
    rewards: Sequence[float]
    """The scores as the algorithm shaped them."""
    advantages: Sequence[float]
    chosen: Sequence[bool] = ()
    """Empty: all of them."""
    tokens: Sequence[TokenNumbers] = ()
    """Empty: nothing is known of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """One row: an answer, what the grader said of it, and what it was worth."""

    step: int
    prompt_id: str
    sample: int
    """The rollout's place in its group, from 0."""
    prompt: str
    text: str
    finish_reason: FinishReason
    score: float | None
    reason: str | None
    """The grader's message."""
    parts: Mapping[str, float | None]
    format_ok: bool | None
    answer_ok: bool | None
    advantage: float | None
    """The mean of its tokens; None: it was not a finite number."""
    chosen: bool = True
    """False: it was drawn in search of other answers, counts in the baseline of its prompt and is not trained on."""
    reward: float | None = None
    """The score as the algorithm shaped it; None: not finite, or written by the first format."""
    versions: tuple[VersionSpan, ...] = field(default=())
    """Which weights its tokens were sampled from."""
    tokens: tuple[int, int] | None = None
    """Where its tokens begin and end in the columns; None: written by the first format, which has none."""
    opened: str = ""
    """What graders read before the text, as `Prompt.opened`; the prompt ends with it."""
    forced: tuple[int, ...] = ()
    """As in `Rollout`: the places of the tokens that a thinking budget wrote, among the answer's own."""
    answer_start: int = 0
    """As in `Rollout`: where the answer begins in the text, behind the thought."""
    reasoning_tokens: int | None = None
    """As in `Rollout`."""


_RECORD = TypeAdapter(RolloutRecord)


def rollouts_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:06d}.jsonl"


def step_of_file(path: Path) -> int:
    """The step of a file that `rollouts_path` named."""
    return int(path.stem.removeprefix("step-"))


def write_rollouts(folder: Path, step: int, groups: Sequence[GradedGroup], disk: Disk = LOCAL_DISK) -> Path:
    """Write the graded groups of a step: the columns first, so that a step with rows has its columns."""
    path = rollouts_path(folder, step)
    rollouts = [rollout for each in groups for rollout in each.group.rollouts]
    ends = np.cumsum([len(rollout.token_ids) for rollout in rollouts], dtype=np.int64).tolist()
    places = iter(zip([0, *ends], ends, strict=False))
    rows = [asdict(record) for each in groups for record in _records(step, each, places)]
    numbers = [
        known
        for each in groups
        for known in each.tokens or [TokenNumbers.unknown(len(rollout.token_ids)) for rollout in each.group.rollouts]
    ]
    write_whole(_columns_path(path), save(_columns(rollouts, numbers)), disk)
    write_whole(path, rows_to_bytes(rows), disk)
    return path


def read_rollouts(path: Path) -> list[RolloutRecord]:
    return [_RECORD.validate_python(row) for row in read_rows(path)]


def read_tokens(path: Path, start: int, end: int) -> TokenColumns:
    """A part of the columns beside `path`; nothing else of the file is read."""
    with safe_open(_columns_path(path), framework="np") as file:
        parts = {name: file.get_slice(name)[start:end] for name in file.keys()}  # noqa: SIM118 - it is no mapping
    ids, logprobs = parts.pop("ids"), parts.pop("logprobs")
    return TokenColumns(ids=ids, logprobs=logprobs, numbers=TokenNumbers(**parts))


def prune_rollouts(folder: Path, oldest: int, disk: Disk = LOCAL_DISK) -> None:
    """Removes the rollouts of steps before `oldest`."""
    for path in sorted(folder.glob("step-*")):
        if step_of_file(path) < oldest:
            disk.remove(path)


def _columns_path(path: Path) -> Path:
    return path.with_suffix(".safetensors")


def _columns(rollouts: Sequence[Rollout], numbers: Sequence[TokenNumbers]) -> dict[str, npt.NDArray[np.generic]]:
    def lay(values: Sequence[npt.NDArray[np.generic]], dtype: type[np.generic]) -> npt.NDArray[np.generic]:
        return np.concatenate([np.empty(0, dtype), *(value.astype(dtype) for value in values)])

    return {
        "ids": lay([np.asarray(rollout.token_ids, dtype=np.int32) for rollout in rollouts], np.int32),
        "logprobs": lay([np.asarray(each.behaviour_logprobs, dtype=np.float32) for each in rollouts], np.float32),
        "entropy": lay([each.entropy for each in numbers], np.float16),
        "ratio": lay([each.ratio for each in numbers], np.float16),
        "advantage": lay([each.advantage for each in numbers], np.float16),
        "text_ends": lay([each.text_ends for each in numbers], np.int32),
    }


def _records(step: int, written: GradedGroup, places: Iterator[tuple[int, int]]) -> Iterator[RolloutRecord]:
    group = written.group
    chosen = written.chosen or [True] * len(group.rollouts)
    values = zip(group.rollouts, group.grades, written.rewards, written.advantages, chosen, strict=True)
    for sample, (rollout, grade, reward, advantage, is_chosen) in enumerate(values):
        yield RolloutRecord(
            step=step,
            prompt_id=group.prompt.id,
            sample=sample,
            prompt=written.prompt,
            text=rollout.text,
            finish_reason=rollout.finish_reason,
            versions=rollout.versions,
            tokens=next(places),
            reward=reward,
            advantage=advantage,
            chosen=is_chosen,
            score=grade.score,
            reason=grade.reason,
            parts=dict(grade.parts),
            format_ok=grade.format_ok,
            answer_ok=grade.answer_ok,
            opened=group.prompt.opened,
            forced=rollout.forced,
            answer_start=rollout.answer_start,
            reasoning_tokens=rollout.reasoning_tokens,
        )
