"""Numbers as people and models write them, read exactly."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_CHARACTERS = 100

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_DECIMAL = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?")
_RATIO = re.compile(r"([+-]?[0-9]+)\s*/\s*([0-9]+)")


def parse_number(text: str) -> Fraction | None:
    """The value of an integer, a decimal or a fraction such as 3/4; None for anything else.

    Thousands may be set off by commas. Exact, so 0.1 + 0.2 would be 0.3 here; the exponent has at most three digits,
    so a short text cannot make a giant number.
    """
    stripped = text.strip()
    if len(stripped) > MAX_CHARACTERS:
        return None
    if _DECIMAL.fullmatch(stripped):
        return Fraction(stripped.replace(",", ""))
    ratio = _RATIO.fullmatch(stripped)
    if ratio is None or int(ratio[2]) == 0:
        return None
    return Fraction(int(ratio[1]), int(ratio[2]))
