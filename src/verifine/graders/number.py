"""Whether a number in a text is the right one."""

from __future__ import annotations

import re
from fractions import Fraction

from verifine.config.graders import NumberGraderConfig
from verifine.graders.numerals import parse_number
from verifine.graders.sample_error import SampleError
from verifine.graders.template import render
from verifine.types import Grade, Sample

MAX_SHOWN = 60

_MINUS = str.maketrans({"\N{MINUS SIGN}": "-"})
_INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = re.compile(
    # A sign after a word, a number or a bracket is an operator; digits inside words do not count; 1/2/2024 is a date.
    rf"""(?<![\w.]) (?P<sign>(?:(?<![\w)\]}}])[+-])?) [$€£¥]?
    (?P<digits> (?<![0-9]/)[0-9]+/[0-9]+(?![0-9]|/[0-9]|[.,][0-9])
              | (?:{_INTEGER}(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{{1,3}}(?![0-9]))? )""",
    re.VERBOSE,
)


class NumberGrader:
    """1 if the number is within the tolerance of the reference, else 0, also where there is no number."""

    def __init__(self, config: NumberGraderConfig) -> None:
        self._config = config
        # Through its decimal form: Fraction(0.3) is a little below 0.3 and would refuse a difference of 0.3.
        self._tolerance = Fraction(str(config.tolerance))
        self._relative_tolerance = Fraction(str(config.relative_tolerance))

    def grade_one(self, sample: Sample) -> Grade:
        # The reference first: a row without it is unscorable, whatever the answer lacks.
        wanted = self._reference(sample)
        text = render(self._config.input, sample)
        found = read_plain_number(text) if self._config.take == "whole" else find_last_number(text)
        is_right = found is not None and abs(found - wanted) <= self._allowed(wanted)
        return Grade(score=float(is_right), parts={self._config.name: float(is_right)}, answer_ok=is_right)

    def _reference(self, sample: Sample) -> Fraction:
        text = render(self._config.reference, sample)
        value = read_plain_number(text)
        if value is None:
            raise SampleError(f'the reference "{text[:MAX_SHOWN]}" is not a number; fix the row')
        return value

    def _allowed(self, wanted: Fraction) -> Fraction:
        return max(self._tolerance, self._relative_tolerance * abs(wanted))


def read_plain_number(text: str) -> Fraction | None:
    """The value of a text that is a number and nothing else, as `parse_number` reads it."""
    return parse_number(text.translate(_MINUS))


def find_last_number(text: str) -> Fraction | None:
    """The value of the last number in the text: an integer, a decimal, or a fraction such as 3/4 without blanks.

    Commas may set off thousands; units, currencies and % are ignored, so 50% is 50 and -$5 is -5. Digits inside a
    word do not count, and a minus after a digit or a letter is not a sign: the last number of x2-5 is 5.
    """
    last = None
    for last in _NUMBER.finditer(text.translate(_MINUS)):  # noqa: B007 - the last one is wanted
        pass
    return None if last is None else parse_number(last["sign"] + last["digits"])
