"""The text inside `<answer>...</answer>`: whether its format and the answer are right."""

from __future__ import annotations

from fractions import Fraction
from typing import assert_never

from verifine.config.graders import AnswerGraderConfig
from verifine.data.field_path import open_json
from verifine.graders.arithmetic import ArithmeticValue, evaluate_arithmetic
from verifine.graders.extraction import find_tagged
from verifine.graders.labels import bare_value, without_label, without_name
from verifine.graders.number import read_reference_number, read_value
from verifine.graders.numerals import WrittenNumber, is_near, parse_number
from verifine.graders.opened import readings
from verifine.graders.reference_answers import AnswerMark, reference_answer
from verifine.graders.sample_error import SampleError
from verifine.graders.template import render_reference
from verifine.graders.unseen import without_unseen_end
from verifine.types import Grade, GradeFault, Json, Sample

_HINT = "fix the row, or compare exact"


class AnswerGrader:
    """`format_weight` for the format, and the rest for a right answer in the right format."""

    def __init__(self, config: AnswerGraderConfig) -> None:
        self._config = config
        # Through its decimal form: Fraction(0.3) is a little below 0.3 and would refuse a difference of 0.3.
        self._tolerance = Fraction(str(config.tolerance))

    def grade_one(self, sample: Sample) -> Grade:
        tag = self._config.tag
        found = (find_tagged(text, tag=tag) for text in readings(sample, (tag,)))
        answer = next((without_unseen_end(each) for each in found if each is not None), None)
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
        reference = render_reference(self._config.reference, sample)
        match self._config.compare:
            case "exact":
                return _is_same_text(answer, reference)
            case "number":
                wanted = read_reference_number(reference, self._config.units, _HINT)
                return self._is_near(read_value(answer, self._config.units), wanted)
            case "countdown":
                numbers = _numbers(sample.item.get("numbers"))
                evaluated = _worked_out(without_name(bare_value(answer)))
                uses_all = evaluated is not None and sorted(evaluated.literals) == sorted(numbers)
                value = WrittenNumber(value=evaluated.value, is_decimal=False) if evaluated else None
                return self._is_near(value, read_reference_number(reference, (), _HINT)) and uses_all
            case compare:
                assert_never(compare)

    def _is_near(self, given: WrittenNumber | None, wanted: WrittenNumber) -> bool:
        return given is not None and is_near(given, wanted, self._tolerance)


def _is_same_text(answer: str, reference: str) -> bool:
    """Whether it is the reference, or the answer that the reference marks, with or without a label."""
    marked = reference_answer(reference)
    wanted_texts = {reference.strip()} if marked.mark is AnswerMark.LAST_LINE else {reference.strip(), marked.text}
    if wanted_texts & {answer.strip(), without_label(answer)}:
        return True
    # The number behind #### is compared by value: GSM8K writes 1,800 there.
    given, wanted = read_value(answer), read_value(marked.text)
    if marked.mark is not AnswerMark.HASHES or given is None or wanted is None:
        return False
    return is_near(given, wanted, Fraction(0))


def _worked_out(text: str) -> ArithmeticValue | None:
    """The value of an expression, or of one with its right result behind it: `(1+2)*3 = 9`."""
    expression, equals, result = text.partition("=")
    evaluated = evaluate_arithmetic(expression.strip())
    written = parse_number(result)
    is_true = not equals or (evaluated is not None and written is not None and written.value == evaluated.value)
    return evaluated if is_true else None


def _numbers(field: Json) -> list[int]:
    """The row's numbers, which a table such as CSV holds as JSON text."""
    value = open_json(field)
    numbers = [each for each in value if isinstance(each, int)] if isinstance(value, list) else []
    if not isinstance(value, list) or not value or len(numbers) < len(value):
        reason = 'the row\'s field "numbers" must be a list of integers for compare: countdown'
        raise SampleError(reason, GradeFault.INVALID_VARIABLE)
    return numbers
