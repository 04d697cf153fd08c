r"""Numbers as people and models write them, read exactly: the one reader of numbers for all graders.

It reads signs (hyphen, U+2212, full-width, "minus"), currencies on either side, thousands (commas, apostrophes, thin
spaces, Indian groups), percent signs, units that a grader names, decimals, fractions, mixed numbers and multiples of
powers of ten, in plain text and in LaTeX. An en dash between two numbers is a range and never a sign.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod

MAX_CHARACTERS = 100
"""A longer number is none, and exponents have at most three digits: a short text cannot make a giant number."""
ROUNDED_DIGITS = 6
"""A decimal with at least this many digits equals a fraction that rounds to it: 0.333333 is 1/3."""

_CHARACTERS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{HYPHEN}": "-",
        "\N{NON-BREAKING HYPHEN}": "-",
        "\N{FIGURE DASH}": "-",
        "\N{SMALL HYPHEN-MINUS}": "-",
        "\N{FULLWIDTH HYPHEN-MINUS}": "-",
        "\N{FULLWIDTH PLUS SIGN}": "+",
        "\N{FULLWIDTH FULL STOP}": ".",
        "\N{FULLWIDTH PERCENT SIGN}": "%",
        "\N{FULLWIDTH DOLLAR SIGN}": "$",
        "\N{FULLWIDTH YEN SIGN}": "\N{YEN SIGN}",
        "\N{FULLWIDTH POUND SIGN}": "\N{POUND SIGN}",
        "\N{FRACTION SLASH}": "/",
        "\N{DIVISION SLASH}": "/",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
    }
)
_MAGNITUDES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "lakh": 10**5,
    "crore": 10**7,
    **dict.fromkeys(("million", "mn", "mln"), 10**6),
    **dict.fromkeys(("billion", "bn", "bln"), 10**9),
    **dict.fromkeys(("trillion", "tn", "trn"), 10**12),
}
_MAGNITUDE = rf"(?i:{'|'.join(_MAGNITUDES)})"
_SIMPLE = r"\s?((?:\\?\$)?[0-9][0-9,.]*+%?|\\frac\s?(?:\{[0-9]+\}|[0-9])(?:\{[0-9]+\}|[0-9]))\s?"
_BEFORE_A_SIGN = r"(?:\b(?:is|are|was|were|be|by|to|of|equals)|[=:\u2248\u2192(<>])[*_$(]{0,4}"
_NARROW = "[\u00a0\u2009\u202f\u200a]"
_SPELLINGS = (
    (re.compile("[\u200b-\u200d\u2060\ufeff]+"), ""),
    (re.compile(r"\\[hv]?phantom\s?\{[^{}]*\}"), ""),
    (re.compile("(?<=[\uff10-\uff19])\uff0c(?=[\uff10-\uff19]{3})"), ","),
    (re.compile(r"\\!\s?"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=[0-9])(?:\\[,;: ]|~)(?=[0-9]{3})"), "\u2009"),
    (re.compile(r"\\text\{\s?(\\?\$|[-\u2212])\s?\}|\{([-\u2212])\}"), r"\1\2"),
    (re.compile(r"\\([$%])"), r"\1"),
    # Emphasis and dollar signs of LaTeX between the sign and the number.
    (re.compile(r"(?<=[-\u2212])(?:\*{1,3}|\$(?=\$))(?=[$]?\.?[0-9])"), ""),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    # An en dash or a longer one is a minus unless it follows a number.
    (re.compile(r"(?<![\w)\]}%])(?<![0-9)\]}%]\s)[\u2013\u2014](?=[$\u20ac\u00a3\u00a5\u20b9]?\.?[0-9])"), "-"),
    (re.compile("\u207b(?=[0-9])"), "-"),
    # A bracket or a group between the sign and the number.
    (re.compile(rf"([-\u2212])(?:\\left\s?\(|\\?\(){_SIMPLE}(?:\\right\s?\)|\\?\))"), r"\1\2"),
    (re.compile(rf"([-\u2212])(?:\\(?:text|textbf|mathrm|mathbf|mbox)\s?)?\{{{_SIMPLE}\}}"), r"\1\2"),
    # A blank between them, unless the sign begins a line, as in a list, or stands between two values.
    (re.compile(rf"(?<![\w)\]}}%])(?<![0-9)\]}}%]\s)(?<!\b[A-Za-z]\s)[-\u2212]{_NARROW}+(?=\$?\.?[0-9])"), "-"),
    (re.compile(rf"({_BEFORE_A_SIGN}[^\S\n]+)[-\u2212\u2013\u2014][ \t]+(?=\$?\.?[0-9])", re.IGNORECASE), r"\1-"),
    # A magnitude in other spellings: `5 Millions`, `5\\text{ million}`, `**5** million`, `5bn`.
    (
        re.compile(
            rf"(?<=[0-9])(?:[^\S\n]|[~*$-]|\\[ ,;]){{0,6}}"
            rf"(?:\\(?:text|mathrm|mbox)\s?\{{\s?(?P<group>{_MAGNITUDE})s?\s?\}}|(?P<bare>{_MAGNITUDE})s?(?!\w))"
        ),
        r" \g<group>\g<bare>",
    ),
)
"""Spellings with the same meaning, and the one that is read."""

_CURRENCIES = {
    **{sign: sign for sign in ("$", "\u20ac", "\u00a3", "\u00a5", "\u20b9", "\u00a2")},
    **{sign: sign for sign in ("c$", "a$", "nz$", "hk$", "s$", "r$")},
    **dict.fromkeys(("us$", "usd", "dollar", "dollars"), "$"),
    **dict.fromkeys(("eur", "euro", "euros"), "\u20ac"),
    **dict.fromkeys(("cent", "cents"), "\u00a2"),
    **dict.fromkeys(("jpy", "yen"), "\u00a5"),
    **dict.fromkeys(("inr", "rupees", "rs", "rs."), "\u20b9"),
    **dict.fromkeys(("gbp", "pound", "pounds"), "\u00a3"),
}
"""The ways to write a currency, in lower case, and its sign."""
_SIGNS = frozenset(_CURRENCIES.values())

_VULGAR = {
    character: Fraction(unicodedata.numeric(character)).limit_denominator(10)
    for character in map(chr, (0xBC, 0xBD, 0xBE, *range(0x2150, 0x215F)))
}
RAISED_DIGITS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b", "0123456789+-"
)
"""Raised digits and signs, and those that they stand for."""

_GROUPED = "|".join(rf"(?!0)[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+(?![0-9])" for mark in (",", "'", "[\u2009\u202f\u00a0]"))
_INDIAN = r"[0-9]{1,2}(?:,[0-9]{2}){1,6},[0-9]{3}(?![0-9])"
_SPACED = r"[0-9]{1,3}(?:[ ][0-9]{3})+(?![0-9])"
_FRACTION = r"""\\frac\s?(?:\{\s?(?P<above>[+-]?[0-9]++)\s?\}|(?P<above_digit>[0-9]))
    \s?(?:\{\s?(?P<below>[0-9]++)\s?\}|(?P<below_digit>[0-9])(?![0-9]))"""
_POWER = r"""(?:[eE](?P<exponent>[+-]?[0-9]{1,3})(?![0-9])
    |\s?(?:\\times|\\cdot|[\u00d7\u00b7\u22c5*x])\s?10\s?(?:(?:\^|\*\*)\s?
        (?:\{\s?(?P<braced>[+-]?[0-9]{1,3})\s?\}|(?P<bare>[+-]?[0-9]{1,3})(?![0-9]))
        |(?P<raised>[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3})))"""
_WORD_SIGN = r"(?<![0-9)\]}]\s)(?<!\b[a-zA-Z]\s)\b(?i:minus|negative)\s{1,4}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenNumber:
    """A number, and how it was written."""

    value: Fraction
    """Without the percent sign: that of 50% is 50."""
    is_decimal: bool
    """False: as a fraction."""
    places: int = 0
    """Digits behind the decimal point."""
    digits: int = 0
    """Significant digits of a decimal without an exponent; 0 for all others."""
    is_percent: bool = False
    unit: str = ""
    """Its currency or unit; empty: it has none, or one that the reader does not know."""

    @property
    def is_worked_out(self) -> bool:
        """Whether nothing is left to calculate: 10/2 still has to be divided."""
        return self.is_decimal or self.value.denominator > 1


def parse_number(text: str, units: Sequence[str] = ()) -> WrittenNumber | None:
    """The number that the whole text is; None for anything else, such as a range or a number with an unknown unit."""
    uniform = _uniform(text).strip()
    match = _pattern(tuple(units), is_whole=True).fullmatch(uniform) if len(uniform) <= MAX_CHARACTERS else None
    return None if match is None else _read(match, units, improper_is_two=False)


def find_last_number(text: str, units: Sequence[str] = ()) -> WrittenNumber | None:
    """The last number in the text.

    Unknown units are ignored, digits inside a word do not count, and a minus after a digit, a letter or a bracket is
    not a sign: the last number of x2-5 is 5.
    """
    last = None
    for last in _pattern(tuple(units), is_whole=False).finditer(_uniform(text)):  # noqa: B007 - the last one is wanted
        pass
    return None if last is None or len(last[0]) > MAX_CHARACTERS else _read(last, units, improper_is_two=True)


def is_near(given: WrittenNumber, wanted: WrittenNumber, tolerance: Fraction) -> bool:
    """Whether the given number has the wanted value within the tolerance, and no other currency or unit."""
    if given.unit and wanted.unit and given.unit != wanted.unit:
        return False
    return any(abs(value - wanted.value) <= tolerance for value in values_like(given, wanted))


def values_like(given: WrittenNumber, wanted: WrittenNumber) -> tuple[Fraction, ...]:
    """What the given number may mean where only one of the two has a percent sign.

    50% is 50 where 50 is wanted, but 0.5% is not 0.5. Where 50% is wanted, 50 and 0.5 both say so.
    """
    if given.is_percent is wanted.is_percent:
        return (given.value,)
    if wanted.is_percent:
        return given.value, given.value * 100
    return (given.value / 100, given.value) if abs(wanted.value) >= 1 else (given.value / 100,)


def same_number(answer: WrittenNumber, reference: WrittenNumber) -> bool:
    """Whether the answer is worked out and has the reference's value; decimals are compared exactly."""
    if not answer.is_worked_out or (answer.unit and reference.unit and answer.unit != reference.unit):
        return False
    return any(_is_value(value, answer, reference) for value in values_like(answer, reference))


def _is_value(value: Fraction, answer: WrittenNumber, reference: WrittenNumber) -> bool:
    if value == reference.value:
        return True
    if answer.is_decimal is reference.is_decimal or answer.is_percent is not reference.is_percent:
        return False
    decimal = answer if answer.is_decimal else reference
    is_rounded = decimal.places > 0 and decimal.digits >= ROUNDED_DIGITS
    return is_rounded and abs(value - reference.value) <= Fraction(1, 2 * 10**decimal.places)


def _uniform(text: str) -> str:
    for spelling, kept in _SPELLINGS:
        text = spelling.sub(kept, text)
    return text.translate(_CHARACTERS)


@cache
def _pattern(units: tuple[str, ...], *, is_whole: bool) -> re.Pattern[str]:
    """A whole text may have blanks that would separate numbers in a sentence."""
    known = "|".join(re.escape(unit) for unit in sorted({*units, *_CURRENCIES}, key=lambda unit: (-len(unit), unit)))
    # The $ that ends LaTeX is no currency.
    behind = known if is_whole else known.replace(r"|\$", "")
    unit = rf"(?i:{known})"
    blank, group = (r"\s*", rf"|{_SPACED}") if is_whole else ("", "")
    sign = r"[+-]" if is_whole else r"(?<![\w)\]}-])[+-]"
    ratio = rf"(?:(?<![0-9]/)(?P<over>[0-9]++){blank}/{blank}(?P<under>[0-9]++)(?!/[0-9]|[.,][0-9]))"
    decimal = rf"(?:(?:{_GROUPED}|{_INDIAN}{group}|[0-9]++)(?:\.[0-9]++{'|[.]' if is_whole else ''})?+|\.[0-9]++)"
    return re.compile(
        rf"""(?<![\w.^])(?<!\^[{{(+-])(?<!\^[{{(][+-])
        (?P<sign>(?:{_WORD_SIGN}|{sign}{blank})?)
        (?:(?P<before>{unit})\s?(?P<inner_sign>[+-]?))?
        (?: (?P<whole>[0-9]{{1,3}}+)?\s?{_FRACTION}
          | (?:(?P<mixed>(?<![0-9]/)[0-9]{{1,3}}+)\s)?{ratio}
          | (?P<vulgar_whole>[0-9]{{0,3}}+)\s?(?P<vulgar>[{"".join(_VULGAR)}])
          | (?P<decimal>{decimal}){_POWER}? )
        (?!_?[0-9]|[eE][+-]?[0-9]|\s?\^[{{(]?\s?[+-]?[0-9])
        (?P<magnitudes>(?:\s{_MAGNITUDE}(?!\w)){{0,3}}+)
        (?P<percent>\s?(?:%|(?i:per\s?cent)(?!\w)))?
        (?:\s?(?P<behind>(?i:{behind}))(?![^\W\d_]))?""",
        re.VERBOSE,
    )


def _in_one_spelling(written: str, units: Sequence[str]) -> str:
    """A currency's sign, or the unit as a grader names it: MW is not mW, but a name in lower case has any case."""
    if written.lower() in _CURRENCIES:
        return _CURRENCIES[written.lower()]
    same = (each for each in units if len(each) > 1 and each.islower() and each == written.lower())
    return written if written in units else next(same, written)


def _read(match: re.Match[str], units: Sequence[str], *, improper_is_two: bool) -> WrittenNumber | None:
    """The number of a match of `_pattern`.

    None for 1/0, for -$-5, for two currencies as in $5 euros, and for 2 4/3 unless that is two numbers.
    """
    if match["sign"] and match["inner_sign"]:
        return None
    is_negative = match["sign"].strip().lower() in ("-", "minus", "negative") or match["inner_sign"] == "-"
    scale = prod((_MAGNITUDES[word.lower()] for word in match["magnitudes"].split()), start=-1 if is_negative else 1)
    named = {_in_one_spelling(written, units) for written in (match["before"], match["behind"]) if written}
    if len(named & _SIGNS) > 1:
        return None
    unit = _in_one_spelling(match["before"] or match["behind"] or "", units)
    is_percent = match["percent"] is not None
    if match["decimal"] is not None:
        value, places, digits = _decimal(match)
        return WrittenNumber(
            value=scale * value, is_decimal=True, places=places, digits=digits, is_percent=is_percent, unit=unit
        )
    fraction = _fraction(match)
    whole = match["whole"] or match["mixed"] or match["vulgar_whole"]
    if fraction is None or (whole and not 0 <= fraction < 1 and not improper_is_two):
        return None
    value = fraction + int(whole) if whole and 0 <= fraction < 1 else fraction
    return WrittenNumber(value=scale * value, is_decimal=False, is_percent=is_percent, unit=unit)


def _decimal(match: re.Match[str]) -> tuple[Fraction, int, int]:
    """Value, digits behind the point, and significant digits where there is no exponent."""
    written = re.sub("[^0-9.]", "", match["decimal"])
    raised = match["raised"]
    power = match["exponent"] or match["braced"] or match["bare"] or (raised and raised.translate(RAISED_DIGITS))
    value = Fraction(written)
    if power:
        return value * Fraction(10) ** int(power), 0, 0
    return value, len(written.partition(".")[2]), len(written.replace(".", "").lstrip("0"))


def _fraction(match: re.Match[str]) -> Fraction | None:
    if match["vulgar"] is not None:
        return _VULGAR[match["vulgar"]]
    above = match["over"] or match["above"] or match["above_digit"]
    below = match["under"] or match["below"] or match["below_digit"]
    return Fraction(int(above), int(below)) if int(below) else None
