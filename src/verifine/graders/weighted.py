"""Several graders at once: the weighted sum of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifine.graders.combined import describe_failed, describe_unscorable, scores_of
from verifine.types import Grade


class WeightedGrader:
    """The sum of weight times score; unscorable where a part is, since a sum without it would be another reward."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights

    def combine(self, parts: Mapping[str, Grade]) -> Grade:
        """One answer's grades, by the names of the parts."""
        reason = describe_unscorable(parts)
        if reason is not None:
            return Grade(score=None, reason=reason)
        scores = scores_of(parts)
        score = sum(self._weights[name] * value for name, value in scores.items())
        judges = [
            grade for name, grade in parts.items() if self._weights[name] >= 0
        ]  # a penalty does not say what is wanted
        return Grade(
            score=score,
            reason=describe_failed(parts),
            parts=scores,
            format_ok=_all_hold([grade.format_ok for grade in judges]),
            answer_ok=_all_hold([grade.answer_ok for grade in judges]),
        )


def _all_hold(judgements: Sequence[bool | None]) -> bool | None:
    """None: no part judges."""
    made = [judgement for judgement in judgements if judgement is not None]
    return all(made) if made else None
