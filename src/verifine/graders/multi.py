"""OpenAI's multi grader, executed: a formula of the scores of several graders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifine.config.graders import MultiGraderConfig
from verifine.config.graders.expression import FormulaError
from verifine.config.graders.formula import evaluate_formula
from verifine.graders.combined import describe_failed, describe_unscorable, scores_of
from verifine.types import Grade, GradeFault


class MultiGrader:
    """The value of the formula.

    Unscorable where a part is, or where the formula has no finite value; 0 where the answer lacks what a part reads.
    """

    def __init__(self, config: MultiGraderConfig) -> None:
        self._formula = config.formula

    def combine(self, parts: Mapping[str, Grade]) -> Grade:
        """One answer's grades, by the names of the parts."""
        reason = describe_unscorable(parts)
        if reason is not None:
            return Grade(score=None, reason=reason)
        scores = scores_of(parts)
        failed = describe_failed(parts)
        if failed is not None:
            return Grade(score=0.0, reason=failed, parts=scores)
        try:
            value = evaluate_formula(self._formula, scores)
        except FormulaError as error:
            return Grade.unscorable(str(error), GradeFault.FORMULA_PARSE)
        return Grade(
            score=value,
            parts=scores,
            format_ok=_unanimous([grade.format_ok for grade in parts.values()]),
            answer_ok=_unanimous([grade.answer_ok for grade in parts.values()]),
        )


def _unanimous(judgements: Sequence[bool | None]) -> bool | None:
    """What all judging parts agree on; None where they differ, since a formula may add one and subtract another."""
    made = {judgement for judgement in judgements if judgement is not None}
    return made.pop() if len(made) == 1 else None
