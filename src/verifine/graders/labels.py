r"""A label before a value is not part of the value: `Final answer: 73` is 73, and so is `The answer is: \boxed{73}`."""

from __future__ import annotations

import re

from verifine.graders.latex import plain

_WORDS = r"""
    (?:(?:so|thus|hence|therefore|then)\b,?\s+)?
    (?:(?:the|my|our|this)\s+)?
    (?:(?:final|correct|right|exact|numerical|required)\s+){0,2}
    (?:answers?|ans|results?|solutions?|value)
    (?:\s+(?:to|of|for)\s+(?:the|this)\s+(?:question|problem|exercise|equation))?
"""
_SAYS = r"""
    [*_]{0,3}\s{0,4}
    (?:(?:is|are|equals)\b(?!\s+not\b)\s{0,4}:?|[:=\uff1a]|->|\u2192|\\to\b|\\rightarrow\b)
    [*_]{0,3}\s{0,4}
"""
_LABEL = re.compile(
    rf"(?:(?:[\s>\#*_]|-(?=\s)){{0,8}}{_WORDS}{_SAYS}|(?:[\s>*_]|-(?=\s)){{0,8}}\#{{4}}\s{{0,4}}+(?!\#))",
    re.IGNORECASE | re.VERBOSE,
)
_STATEMENT = re.compile(rf"\b(?:answer|result){_SAYS}", re.IGNORECASE | re.VERBOSE)
_GROUP = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s?\{([^{}]{1,60})\}\s*")
_NAME = re.compile(
    r"(?!\\?(?:neq?|not)(?![A-Za-z]))(?:[A-Za-z]{1,20}|\\[a-z]{2,10})(?:_(?:\w|\{[^{}]{1,20}\}))?\s*=\s*(?=[^=])"
)


def bare_value(text: str) -> str:
    """The value of a short answer, without a label, emphasis, LaTeX's dollar signs and the like."""
    return plain(without_label(plain(text)))


def without_label(text: str) -> str:
    """The text behind a label such as `Final answer:`, `The answer is` or GSM8K's `####`; without one, the text."""
    stripped = text.strip()
    group = _GROUP.match(stripped)
    if group is not None and _LABEL.fullmatch(group[1]) is not None:
        return stripped[group.end() :]
    label = _LABEL.match(stripped)
    value = "" if label is None else stripped[label.end() :]
    if label is None or not value:
        return stripped
    # The emphasis that began before the label ends behind the value.
    is_open = label[0].count("**") % 2 == 1 and value.endswith("**") and value.count("**") % 2 == 1
    return value[:-2].rstrip() if is_open else value


def without_name(text: str) -> str:
    """The text behind the name of what has the value: `x = 5` is 5."""
    stripped = text.strip()
    name = _NAME.match(stripped)
    return stripped if name is None else stripped[name.end() :]


def last_stated(text: str) -> str | None:
    """The text behind the last "answer is" or "answer:" of a sentence; None where there is none."""
    last = None
    for last in _STATEMENT.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return None if last is None else text[last.end() :].strip() or None
