r"""Python regular expressions in bounded time.

Some expressions take exponential time on a text made for that, and Python's `re` cannot be stopped. The `regex` package
can. It reads the same language except for fuzzy matching (`a{e}`) and classes by name (`[[:alpha:]]`), which `re` takes
letter by letter: that is fixed here. One difference remains: its `\w` matches combining marks, as in written Hindi, but
not superscript digits and fractions.
"""

from __future__ import annotations

import re

import regex

from verifine.errors import GraderError
from verifine.graders.sample_error import SampleError
from verifine.types import GradeFault

TIMEOUT_S = 1.0
"""Processor time for one text. Ordinary expressions take microseconds, or milliseconds on a very long answer."""

_BRACES_AND_CLASSES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?!\d*,?\d*\})|\{\}", re.DOTALL)
_CLASS_BEGINNING = re.compile(r"\[\^?\]?")
_BRACKETS = re.compile(r"\\.|\[", re.DOTALL)


class PatternTimeoutError(SampleError):
    """An expression that took longer than it may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, GradeFault.UNRESPONSIVE_REWARD)


class BoundedPattern:
    """A compiled expression; its `.` matches newlines only if asked to."""

    def __init__(self, pattern: str, *, dot_matches_newline: bool = False) -> None:
        """GraderError if it is not a regular expression."""
        flags = regex.VERSION0 | regex.DOTALL if dot_matches_newline else regex.VERSION0
        try:
            self._pattern = regex.compile(_BRACES_AND_CLASSES.sub(_as_in_re, pattern), flags)
        except regex.error as error:
            raise GraderError(f"{pattern!r} is not a regular expression: {error}") from error

    def matches(self, text: str, *, timeout_s: float = TIMEOUT_S) -> bool:
        """Whether it matches the whole text; PatternTimeoutError if it takes too long."""
        try:
            return self._pattern.fullmatch(text, timeout=timeout_s) is not None
        except (TimeoutError, MemoryError) as error:
            raise _stopped(text) from error

    def is_in(self, text: str, *, timeout_s: float = TIMEOUT_S) -> bool:
        """Whether it matches anywhere; PatternTimeoutError if it takes too long."""
        try:
            return self._pattern.search(text, timeout=timeout_s) is not None
        except (TimeoutError, MemoryError) as error:
            raise _stopped(text) from error


def _as_in_re(match: re.Match[str]) -> str:
    """Escapes a brace that is not a count and a bracket inside a class, which `re` takes for plain characters."""
    text = match[0]
    if text.startswith("{"):
        return f"\\{text}"
    if text.startswith("\\"):
        return text
    beginning = _CLASS_BEGINNING.match(text)
    assert beginning is not None
    return beginning[0] + _BRACKETS.sub(lambda each: r"\[" if each[0] == "[" else each[0], text[beginning.end() :])


def _stopped(text: str) -> PatternTimeoutError:
    return PatternTimeoutError(
        f"the regular expression took too long on a text of {len(text)} characters; write it without repetitions "
        "inside repetitions, such as (a+)+"
    )
