"""Whether a number in a text is the right one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from verifine.config.graders import NumberGraderConfig
from verifine.data.thoughts import behind_thoughts
from verifine.graders.labels import bare_value, without_name
from verifine.graders.numerals import WrittenNumber, find_last_number, is_near, parse_number
from verifine.graders.reference_answers import readable_reference
from verifine.graders.sample_error import SampleError
from verifine.graders.template import render, render_reference
from verifine.types import Grade, GradeFault, Sample

MAX_SHOWN = 60
MAX_VALUE_CHARACTERS = 400
"""A longer text is more than a number with a label and a name."""


class NumberGrader:
    """1 if the number is within the tolerance of the reference, else 0, also where there is no number."""

    def __init__(self, config: NumberGraderConfig) -> None:
        self._config = config
        # Through its decimal form: Fraction(0.3) is a little below 0.3 and would refuse a difference of 0.3.
        self._tolerance = Fraction(str(config.tolerance))
        self._relative_tolerance = Fraction(str(config.relative_tolerance))

    def grade_one(self, sample: Sample) -> Grade:
        # The reference first: a row without it is unscorable, whatever the answer lacks.
        wanted = read_reference_number(render_reference(self._config.reference, sample), self._config.units)
        text = render(self._config.input, sample)
        units = self._config.units
        is_whole = self._config.take == "whole"
        found = read_value(text, units) if is_whole else find_last_number(behind_thoughts(text), units)
        is_right = found is not None and is_near(found, wanted, self._allowed(wanted))
        return Grade(score=float(is_right), parts={self._config.name: float(is_right)}, answer_ok=is_right)

    def _allowed(self, wanted: WrittenNumber) -> Fraction:
        return max(self._tolerance, self._relative_tolerance * abs(wanted.value))


def read_value(text: str, units: Sequence[str] = ()) -> WrittenNumber | None:
    """The number of a text that is a number and nothing else besides a label, a name, and emphasis."""
    if len(text) > MAX_VALUE_CHARACTERS:
        return None
    return parse_number(text, units) or parse_number(without_name(bare_value(text)), units)


def read_reference_number(reference: str, units: Sequence[str] = (), hint: str = "fix the row") -> WrittenNumber:
    """The number that a reference is, or that a worked solution in it ends with.

    Raises:
        SampleError: there is none.
    """
    answer = readable_reference(reference)
    number = read_value(answer.text, units)
    if number is None:
        hint = f"{hint}, or name its unit in `units`" if answer.text[:1].isdigit() else hint
        raise SampleError(
            f'the reference "{answer.text[:MAX_SHOWN]}" is not a number; {hint}', GradeFault.INVALID_VARIABLE
        )
    return number
