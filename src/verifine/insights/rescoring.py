"""Saved rollouts graded again: the row of each one, and how far the two graders agree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from verifine.errors import ConfigError
from verifine.insights.scores import SAME_SCORE, mean
from verifine.runs.rollouts import RolloutRecord, read_rollouts
from verifine.types import Grade, Json

HELD_OUT = "held-out/"
"""Prefix of the ids of rows that are only asked in evaluations."""

_LATER_EPOCH = re.compile(r"@[0-9]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRollout:
    """An answer of a run, and its recorded grade."""

    step: int
    sample: int
    prompt_id: str
    prompt: str
    text: str
    recorded: Grade
    opened: str = ""
    """What graders read before the text, as `Prompt.opened`."""
    answer_start: int = 0
    """Where the answer begins in the text, behind the thought."""


def read_saved_rollouts(folder: Path) -> list[SavedRollout]:
    """Every answer of a run, in the order of the steps; `folder` is its `rollouts/`.

    Raises:
        ConfigError: there are none.
    """
    rollouts = [_saved(record) for path in sorted(folder.glob("step-*.jsonl")) for record in read_rollouts(path)]
    if not rollouts:
        raise ConfigError(f"{folder} holds no rollouts: the run has not done a step yet, or they were removed")
    return rollouts


def row_ids(prompt_id: str) -> tuple[str, ...]:
    """The possible ids of a prompt's row, the likeliest first.

    The prompt of row `x` is `x` when it is drawn first, `x@1` in the next epoch, and `held-out/x` in an evaluation.
    """
    without_epoch = _LATER_EPOCH.sub("", prompt_id)
    return tuple(dict.fromkeys((prompt_id, without_epoch, without_epoch.removeprefix(HELD_OUT))))


def find_item(prompt_id: str, items: Mapping[str, Mapping[str, Json]]) -> Mapping[str, Json] | None:
    """The fields of the row that a prompt was made from; `rows` has them by id. None: the row is not among them."""
    return next((items[row_id] for row_id in row_ids(prompt_id) if row_id in items), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """One answer under two graders."""

    rollout: SavedRollout
    grade: Grade

    @property
    def difference(self) -> float | None:
        """The new score minus the recorded one; None: one of them is unscorable."""
        recorded = self.rollout.recorded.score
        return None if recorded is None or self.grade.score is None else self.grade.score - recorded

    @property
    def agrees(self) -> bool:
        """The scores are the same, or both are unscorable."""
        if self.difference is None:
            return self.grade.score is None and self.rollout.recorded.score is None
        return abs(self.difference) <= SAME_SCORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the new scores agree with the recorded ones."""

    count: int
    """All answers."""
    same: int
    """Those with the same score from both graders, or with none."""
    mean_difference: float | None
    """New minus recorded; None: no answer was scored by both."""
    newly_unscorable: int
    newly_scorable: int
    largest: tuple[Rescored, ...]
    """The answers with the largest differences between the scores; equal texts of a prompt are listed once."""


def measure_agreement(rescored: Sequence[Rescored], shown: int) -> Agreement:
    """`shown` limits how many disagreements are listed."""
    differences = [each.difference for each in rescored if each.difference is not None]
    scores = [(each.rollout.recorded.score, each.grade.score) for each in rescored]
    return Agreement(
        count=len(rescored),
        same=sum(each.agrees for each in rescored),
        mean_difference=mean(differences),
        newly_unscorable=sum(old is not None and new is None for old, new in scores),
        newly_scorable=sum(old is None and new is not None for old, new in scores),
        largest=tuple(_largest(rescored))[:shown],
    )


def _largest(rescored: Sequence[Rescored]) -> Iterator[Rescored]:
    told: set[tuple[str, str]] = set()
    disagreeing = [each for each in rescored if not each.agrees and each.difference is not None]
    for each in sorted(disagreeing, key=lambda each: -abs(each.difference or 0.0)):
        key = (each.rollout.prompt, each.rollout.text)
        if key not in told:
            told.add(key)
            yield each


def _saved(record: RolloutRecord) -> SavedRollout:
    return SavedRollout(
        step=record.step,
        sample=record.sample,
        prompt_id=record.prompt_id,
        prompt=record.prompt,
        text=record.text,
        opened=record.opened,
        answer_start=record.answer_start,
        recorded=Grade(
            score=record.score,
            reason=record.reason,
            parts={name: score for name, score in record.parts.items() if score is not None},
            format_ok=record.format_ok,
            answer_ok=record.answer_ok,
        ),
    )
