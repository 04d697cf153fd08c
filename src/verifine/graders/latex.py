r"""Short answers as mathematicians and models write them, compared without an algebra system.

Numbers are read by `numerals`, and other texts compared, which is enough for most answers. Nothing here makes
two different answers equal: `\frac{1}{23}` stays another text than `\frac{12}{3}`, and `1,2` another one than `12`.
"""

from __future__ import annotations

import re
from math import gcd

from verifine.graders.numerals import RAISED_DIGITS, parse_number

MAX_WRAPPERS = 8
"""Nested pairs that are removed; thousands of them would take time."""
MAX_DEPTH = 20
"""Nested brackets that algebra is asked to read; each level takes longer."""

_REWRITTEN = (
    (re.compile(r"\\[hv]?phantom\s?\{[^{}]*\}"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<!\\)\\!\s?"), ""),
    (re.compile(r"(?<!\\)\\[,;: ]|\\q?quad(?![A-Za-z])|~|\u00a0|\u202f"), " "),
    (re.compile(r"\\(?:[dtcs]|nice)frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:text)?color\s?\{[A-Za-z]+\}"), ""),
    (re.compile(r"\\(?:tiny|small|large|Large|LARGE|huge|Huge|normalsize|displaystyle|textstyle)(?![A-Za-z])"), ""),
    (re.compile(r"(?<!\\)\\%"), "%"),
    (re.compile("[\u2010\u2011\u2012\u2212\ufe63\uff0d]"), "-"),
    (re.compile(r"(?<![\w)\]}%\s])\u2013(?=\.?[0-9])"), "-"),
    (re.compile(r"\\[lcd]?dots[bcmio]?(?![A-Za-z])|\u2026"), "..."),
    (re.compile(r"\\\\\s*(?=\\end\{)"), ""),
    (re.compile("\u00b0"), r"^\\circ"),
    (re.compile(r"\^?\s?\\degree(?![A-Za-z])"), r"^\\circ"),
    (re.compile("\u221e"), r"\\infty"),
    (re.compile(r"\\varnothing(?![A-Za-z])|\u2205"), r"\\emptyset"),
    (re.compile(r"\u221a\s?([0-9]+(?:\.[0-9]+)?|[A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"\u221a\s?(?=[({])"), r"\\sqrt"),
)
"""Spellings with the same meaning, and the one that is kept."""
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("_", "_"),
    ("`", "`"),
)
_WRAPPERS = (
    *(r"\boxed{", r"\fbox{", r"\text{", r"\textbf{", r"\textit{", r"\textrm{", r"\mathrm{", r"\mathbf{", r"\mathit{"),
    *(r"\boldsymbol{", r"\mbox{", r"\underline{", "{"),
)
_MATH_AND_UNIT = re.compile(
    r"^\s*\$([^$]*[0-9][^$]*)\$\s?([A-Za-z][A-Za-z ./]{0,40})(?:\$(\^\s?(?:[23]|\{[23]\}))\$)?\s*\.?$"
)
_RAISED = re.compile("(?<=[A-Za-z0-9)}\\]])[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_RECURRING = re.compile(
    r"(?<![0-9.,])([0-9]{0,9})\.([0-9]{0,9})\\(?:overline|bar|dot)\s?(?:\{([0-9]{1,9})\}|([0-9])(?![0-9]))(?!\s?[0-9]|\s?\\dot)"
)
"""0.1\\overline{6}: the digits before the point, behind it, and those that recur."""

_WORDS = re.compile(r"[^\W\d_]+(?:[ '-]+[^\W\d_]+)*")
_MISREAD = re.compile(r"(?<!_)[0-9]\s+[0-9]|[0-9]\s*_|\.\.\.|[\w)}\]]'|\\prime|phantom")
_MIXED = re.compile(r"[0-9]\s?\\frac\s?(?:\{\s?([0-9]{1,20})\s?\}|([0-9]))\s?(?:\{\s?([0-9]{1,20})\s?\}|([0-9]))")
"""A number before a fraction, which algebra adds even where the fraction is above 1: 1\\frac{8}{2}."""
_RATIO = re.compile(r"[0-9]{1,20}(?:\s?:\s?[0-9]{1,20})+")
_CLOCK_TIME = re.compile(r"[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?")
_COLON = re.compile(r"[0-9]\s?:\s?[0-9]")


def plain(text: str) -> str:
    r"""The text without what changes how it looks but not what it says, such as `$...$` and `\text{...}`."""
    for spelling, kept in _REWRITTEN:
        text = spelling.sub(kept, text)
    text = _MATH_AND_UNIT.sub(lambda found: rf"{found[1]}\text{{ {found[2]}}}" + (found[3] or ""), text)
    text = _RAISED.sub(lambda power: f"^{{{power[0].translate(RAISED_DIGITS)}}}", text)
    text = _RECURRING.sub(_as_fraction, text)
    for _ in range(MAX_WRAPPERS):
        text = text.strip()
        inner = _unwrapped(text)
        if inner is None:
            break
        text = inner
    return text.strip()


def same_text(answer: str, reference: str) -> bool:
    """Whether two `plain` texts differ in blanks and braces only, and not where these separate words."""
    return _without_blanks(answer) == _without_blanks(reference)


def same_ratio(answer: str, reference: str) -> bool | None:
    """Whether two `plain` texts are the same ratio or time of day; None: neither has a colon between numbers.

    4:6 is 2:3 and 2/3, and 3:45 is nothing but 3:45: algebra would divide.
    """
    if _COLON.search(answer) is None and _COLON.search(reference) is None:
        return None
    if same_text(answer, reference):
        return True
    given, wanted = _lowest_terms(answer), _lowest_terms(reference)
    return given is not None and given == wanted


def is_words(text: str) -> bool:
    """Whether a `plain` text is a word or more, which algebra would take for a product of its letters."""
    return len(text) > 1 and _WORDS.fullmatch(text) is not None


def is_beyond_algebra(text: str) -> bool:
    """Whether an algebra system would take long, or quietly read something else: `1 2` as 3, and `101_2` as 101."""
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if any(int(mixed[1] or mixed[2]) >= int(mixed[3] or mixed[4]) for mixed in _MIXED.finditer(text)):
        return True
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


def _as_fraction(decimal: re.Match[str]) -> str:
    whole, fixed, recurring = decimal[1], decimal[2], decimal[3] or decimal[4]
    below = int("9" * len(recurring) + "0" * len(fixed))
    above = int(whole + fixed + recurring) - int(whole + fixed or "0")
    divisor = gcd(above, below)
    return rf"\frac{{{above // divisor}}}{{{below // divisor}}}"


def _lowest_terms(text: str) -> tuple[int, ...] | None:
    """Of a ratio or a fraction; None for a time of day and for anything else."""
    number = parse_number(text)
    if number is not None:
        return (number.value.numerator, number.value.denominator)
    if _RATIO.fullmatch(text) is None or _CLOCK_TIME.fullmatch(text) is not None:
        return None
    terms = [int(term) for term in text.split(":")]
    divisor = gcd(*terms)
    return tuple(term // divisor for term in terms) if divisor else None


def _without_blanks(text: str) -> str:
    text = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", text).replace("\u2013", "-")
    text = " ".join(re.sub(r"[{}]", " ", text).split())
    return re.sub(r"(?<=[\W_]) | (?=[\W_])", "", text)
