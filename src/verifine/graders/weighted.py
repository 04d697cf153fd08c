"""Several graders at once: the weighted sum of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from verifine.graders.grader import Grader
from verifine.types import Grade, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A grader and what its score counts."""

    name: str
    weight: float
    grader: Grader


class WeightedSum:
    """The sum of weight times score; unscorable where a part is, since a sum without it would be another reward."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        by_part = [part.grader.grade(samples) for part in self._parts]
        return [self._combine(grades) for grades in zip(*by_part, strict=True)]

    def close(self) -> None:
        with ExitStack() as closing:  # the others are closed even if one fails
            for part in self._parts:
                closing.callback(part.grader.close)

    def _combine(self, grades: Sequence[Grade]) -> Grade:
        """One answer's grades, one a part."""
        named = {part.name: grade for part, grade in zip(self._parts, grades, strict=True)}
        scores = {name: grade.score for name, grade in named.items() if grade.score is not None}
        judges = [named[part.name] for part in self._parts if part.weight >= 0]  # what is penalised is not wanted
        if len(scores) < len(named):
            return Grade.unscorable(_reasons(named))
        return Grade(
            score=sum(part.weight * scores[part.name] for part in self._parts),
            parts=scores,
            format_ok=_all_hold([grade.format_ok for grade in judges]),
            answer_ok=_all_hold([grade.answer_ok for grade in judges]),
        )


def _reasons(grades: Mapping[str, Grade]) -> str:
    return "; ".join(f"{name}: {grade.reason}" for name, grade in grades.items() if grade.score is None)


def _all_hold(judgements: Sequence[bool | None]) -> bool | None:
    """None: nobody judges."""
    made = [judgement for judgement in judgements if judgement is not None]
    return all(made) if made else None
