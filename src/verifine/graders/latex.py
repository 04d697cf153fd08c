r"""Short answers as mathematicians and models write them, read without an algebra system.

Plain numbers are read exactly and other texts compared, which is enough for most answers. Nothing here makes
two different answers equal: `\frac{1}{23}` stays another text than `\frac{12}{3}`, and `1,2` another one than `12`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from verifine.graders.numerals import parse_number

ROUNDED_DIGITS = 6
"""A decimal with at least this many digits equals a fraction that rounds to it: 0.333333 is 1/3."""

MAX_WRAPPERS = 8
"""Nested pairs that are removed; thousands of them would take time."""
MAX_DEPTH = 20
"""Nested brackets that algebra is asked to read; each level takes longer."""

_REWRITTEN = (
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<!\\)\\!"), ""),
    (re.compile(r"(?<!\\)\\[,;: ]|\\q?quad(?![A-Za-z])|~|\u00a0|\u202f"), " "),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"(?<!\\)\\%"), "%"),
    (re.compile("\u2212"), "-"),
    (re.compile("\u00b0"), r"^\\circ"),
)
"""Spellings with the same meaning, and the one that is kept."""
_PAIRS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"))
_WRAPPERS = (r"\boxed{", r"\text{", r"\textbf{", r"\mathrm{", r"\mathbf{", r"\mbox{", "{")

_INTEGER = r"(?:\{\s*([0-9]{1,100})\s*\}|\s*([0-9]))"
_FRACTION = re.compile(rf"\\frac{_INTEGER}{_INTEGER}")
_MIXED = re.compile(r"([0-9]{1,100})\s*\\frac(.+)|([0-9]{1,100})\s+([0-9]+\s*/\s*[0-9]+)")
_SCIENTIFIC = re.compile(r"(.+?)\s*(?:\\times|\\cdot|\u00d7|\*)\s*10\s*\^\s*(?:\{\s*([+-]?[0-9]{1,3})\s*\}|([0-9]))")
_PLACES = re.compile(r"[-+]?\s*[0-9, ]*\.([0-9]+)")
_GROUPED = re.compile(r"[0-9]{1,3}(?: [0-9]{3})+(?:\.[0-9]+)?")
_WORDS = re.compile(r"[^\W\d_]+(?:[ '-]+[^\W\d_]+)*")
_MISREAD = re.compile(r"[0-9]\s+[0-9]|[0-9]\s*_")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenNumber:
    """A number, and how it was written."""

    value: Fraction
    text: str
    is_decimal: bool
    """False: as a fraction."""

    @property
    def is_worked_out(self) -> bool:
        """Whether nothing is left to calculate: 10/2 still has to be divided."""
        return self.is_decimal or self.value.denominator > 1


def plain(text: str) -> str:
    r"""The text without what changes how it looks but not what it says, such as `$...$` and `\text{...}`."""
    for spelling, kept in _REWRITTEN:
        text = spelling.sub(kept, text)
    for _ in range(MAX_WRAPPERS):
        text = text.strip()
        inner = _unwrapped(text)
        if inner is None:
            break
        text = inner
    return text.strip()


def read_latex_number(text: str) -> WrittenNumber | None:
    r"""An integer, decimal, fraction, mixed number or multiple of a power of ten; of text that is `plain`.

    Thousands may be set off by commas or blanks. None for everything else, `50\%` and `5 cm` included.
    """
    if text[:1] in ("-", "+"):
        size = _read_unsigned(text[1:].lstrip())
        sign = -1 if text[0] == "-" else 1
        return None if size is None else WrittenNumber(value=sign * size[0], text=text, is_decimal=size[1])
    size = _read_unsigned(text)
    return None if size is None else WrittenNumber(value=size[0], text=text, is_decimal=size[1])


def same_number(answer: WrittenNumber, reference: WrittenNumber) -> bool:
    """Whether the answer is worked out and has the reference's value; decimals are compared exactly."""
    if not answer.is_worked_out:
        return False
    if answer.is_decimal is reference.is_decimal or answer.value == reference.value:
        return answer.value == reference.value
    decimal, fraction = (answer, reference) if answer.is_decimal else (reference, answer)
    return _is_rounded(decimal, fraction.value)


def same_text(answer: str, reference: str) -> bool:
    """Whether two `plain` texts differ in blanks and braces only, and not where these separate words."""
    return _without_blanks(answer) == _without_blanks(reference)


def is_words(text: str) -> bool:
    """Whether a `plain` text is a word or more, which algebra would take for a product of its letters."""
    return len(text) > 1 and _WORDS.fullmatch(text) is not None


def is_beyond_algebra(text: str) -> bool:
    """Whether an algebra system would take long, or quietly read something else: `1 2` as 3, and `101_2` as 101."""
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH or _MISREAD.search(text) is not None


def find_closing_brace(text: str, start: int) -> int | None:
    """The position of the brace that closes the one right before `start`; escaped braces are text."""
    depth, position = 1, start
    while position < len(text):
        character = text[position]
        depth += (character == "{") - (character == "}")
        if not depth:
            return position
        position += 2 if character == "\\" else 1
    return None


def _unwrapped(text: str) -> str | None:
    """The text inside the outermost pair; None if no pair encloses the whole text."""
    if len(text) > 1 and text.endswith(".") and not text.endswith(".."):
        return text[:-1]
    for opening, closing in _PAIRS:
        inner = text[len(opening) : -len(closing)]
        if inner and text.startswith(opening) and text.endswith(closing) and opening not in inner:
            return inner
    for opening in _WRAPPERS:
        if text.startswith(opening) and find_closing_brace(text, len(opening)) == len(text) - 1:
            return text[len(opening) : -1]
    return None


def _read_unsigned(text: str) -> tuple[Fraction, bool] | None:
    """The value, and whether it is a decimal."""
    if text[:1] in ("-", "+"):
        return None
    if _GROUPED.fullmatch(text):
        text = text.replace(" ", "")
    number = parse_number(text)
    if number is not None:
        return number, "/" not in text
    if (fraction := _read_fraction(text)) is not None:
        return fraction, False
    if (scientific := _SCIENTIFIC.fullmatch(text)) is not None:
        factor = parse_number(scientific[1])
        power = Fraction(10) ** int(scientific[2] or scientific[3])
        return None if factor is None or "/" in scientific[1] else (factor * power, True)
    return None


def _read_fraction(text: str) -> Fraction | None:
    if (mixed := _MIXED.fullmatch(text)) is not None:
        part = _read_fraction(rf"\frac{mixed[2]}") if mixed[2] else parse_number(mixed[4])
        return None if part is None or not part < 1 else int(mixed[1] or mixed[3]) + part
    fraction = _FRACTION.fullmatch(text)
    if fraction is None:
        return None
    above, below = int(fraction[1] or fraction[2]), int(fraction[3] or fraction[4])
    return Fraction(above, below) if below else None


def _is_rounded(decimal: WrittenNumber, exact: Fraction) -> bool:
    places = _PLACES.fullmatch(decimal.text)
    if places is None or len(re.sub("[^0-9]", "", decimal.text).lstrip("0")) < ROUNDED_DIGITS:
        return False
    return abs(decimal.value - exact) <= Fraction(1, 2 * 10 ** len(places[1]))


def _without_blanks(text: str) -> str:
    text = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", text)
    text = " ".join(re.sub(r"[{}]", " ", text).split())
    return re.sub(r"(?<=\W) | (?=\W)", "", text)
