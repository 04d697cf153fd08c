"""Spellings of formulas that Math-Verify's parser does not read, or reads as something else."""

from __future__ import annotations

import re

_ROUND_ROOT = re.compile(r"\\?sqrt\s*\(")
_REWRITTEN = (
    (re.compile(r"\*\*\s?(-?[0-9]+)"), r"^{\1}"),
    (re.compile(r"\*\*"), "^"),
    (re.compile("\u00b7"), r"\\cdot "),
    (re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<![A-Za-z\\{])(ln|log|sin|cos|tan)(?![A-Za-z])"), r"\\\1 "),
    (re.compile(r"\\log\s?_\s?(?:e(?![A-Za-z])|\{\s?e\s?\})"), r"\\ln "),
    (re.compile(r"\\(?:mathrm|text|textrm)\s?\{\s?([ei])\s?\}"), r"{\1}"),
    (re.compile(r"\\frac\s?([0-9])\s?([0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"((?<![_^0-9])[0-9]+|\\frac\{[^{}]*\}\{[^{}]*\}|\))\s*(?=\(|\\left\s*\()"), r"\1 \\cdot "),
)


def for_parser(text: str) -> str:
    r"""The formula as the parser reads it: 2(3) would be 2 3/1, and `\sqrt(2)` a new row."""
    while (root := _ROUND_ROOT.search(text)) is not None:
        end = _closing(text, root.end())
        if end is None:
            break
        text = rf"{text[: root.start()]}\sqrt{{{text[root.end() : end]}}}{text[end + 1 :]}"
    for spelling, read in _REWRITTEN:
        text = spelling.sub(read, text)
    return text


def _closing(text: str, start: int) -> int | None:
    depth = 1
    for position in range(start, len(text)):
        depth += (text[position] == "(") - (text[position] == ")")
        if not depth:
            return position
    return None
