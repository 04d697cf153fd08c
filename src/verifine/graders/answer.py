"""The text inside `<answer>...</answer>`: whether its format and the answer are right."""

from __future__ import annotations

from fractions import Fraction
from typing import assert_never

from verifine.config.graders import AnswerGraderConfig
from verifine.graders.arithmetic import evaluate_arithmetic
from verifine.graders.extraction import find_tagged
from verifine.graders.numerals import parse_number
from verifine.graders.sample_error import SampleError
from verifine.graders.template import render
from verifine.types import Grade, GradeFault, Json, Sample


class AnswerGrader:
    """`format_weight` for the format, and the rest for a right answer in the right format."""

    def __init__(self, config: AnswerGraderConfig) -> None:
        self._config = config
        # Through its decimal form: Fraction(0.3) is a little below 0.3 and would refuse a difference of 0.3.
        self._tolerance = Fraction(str(config.tolerance))

    def grade_one(self, sample: Sample) -> Grade:
        answer = find_tagged(sample.output_text, tag=self._config.tag)
        # Compared even when there is no answer, so that a broken row is unscorable whatever the model says.
        is_right = self._is_right(answer or "", sample)
        format_ok = answer is not None
        answer_ok = format_ok and is_right
        weight = self._config.format_weight
        return Grade(
            score=weight * format_ok + (1 - weight) * answer_ok,
            parts={"format": float(format_ok), "answer": float(answer_ok)},
            format_ok=format_ok,
            answer_ok=answer_ok,
        )

    def _is_right(self, answer: str, sample: Sample) -> bool:
        reference = render(self._config.reference, sample)
        match self._config.compare:
            case "exact":
                return answer.strip() == reference.strip()
            case "number":
                return self._is_near(parse_number(answer), reference)
            case "countdown":
                numbers = _numbers(sample.item.get("numbers"))
                evaluated = evaluate_arithmetic(answer)
                uses_all = evaluated is not None and sorted(evaluated.literals) == sorted(numbers)
                return self._is_near(evaluated.value if evaluated else None, reference) and uses_all
            case compare:
                assert_never(compare)

    def _is_near(self, value: Fraction | None, reference: str) -> bool:
        wanted = parse_number(reference)
        if wanted is None:
            reason = f'the reference "{reference[:60]}" is not a number; fix the row, or compare exact'
            raise SampleError(reason, GradeFault.INVALID_VARIABLE)
        return value is not None and abs(value - wanted) <= self._tolerance


def _numbers(value: Json) -> list[int]:
    numbers = [each for each in value if isinstance(each, int)] if isinstance(value, list) else []
    if not isinstance(value, list) or not value or len(numbers) < len(value):
        reason = 'the row\'s field "numbers" must be a list of integers for compare: countdown'
        raise SampleError(reason, GradeFault.INVALID_VARIABLE)
    return numbers
