"""Several graders at once: the weighted sum of their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from verifine.graders.grader import Grader
from verifine.graders.parts import Parts, carry, describe_failed, describe_unscorable, scores_of
from verifine.types import Grade, Sample


class WeightedGrader:
    """The sum of weight times score; unscorable where a part is, since a sum without it would be another reward."""

    def __init__(self, graders: Mapping[str, Grader], weights: Mapping[str, float]) -> None:
        """The same names in both."""
        self._parts = Parts(graders)
        self._weights = weights

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [carry(self._combine(parts), parts) for parts in self._parts.grade(samples)]

    def close(self) -> None:
        self._parts.close()

    def _combine(self, parts: Mapping[str, Grade]) -> Grade:
        """One answer's grades, by the names of the parts."""
        reason = describe_unscorable(parts)
        if reason is not None:
            return Grade(score=None, reason=reason)
        scores = scores_of(parts)
        score = sum(self._weights[name] * value for name, value in scores.items())
        if not math.isfinite(score):
            return Grade(score=None, reason=f"the weighted sum is {score}, which is not finite")
        judges = [grade for name, grade in parts.items() if self._weights[name] >= 0]  # what is penalised is not wanted
        return Grade(
            score=score,
            reason=describe_failed(parts),
            parts=scores,
            format_ok=_all_hold([grade.format_ok for grade in judges]),
            answer_ok=_all_hold([grade.answer_ok for grade in judges]),
        )


def _all_hold(judgements: Sequence[bool | None]) -> bool | None:
    """None: nobody judges."""
    made = [judgement for judgement in judgements if judgement is not None]
    return all(made) if made else None
