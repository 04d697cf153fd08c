"""The forms of an answer that prompts ask for, recognised by their marks, such as tags, a box, or `####`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from verifine.types import Example

PLAIN = "plain"
"""The way of writing an answer that has no form."""

_MARKS: Mapping[str, re.Pattern[str]] = {
    "<answer>": re.compile("<answer>"),
    "<think>": re.compile("<think>"),
    "\\boxed{}": re.compile(r"\\boxed\b"),
    "####": re.compile("####"),
    "a block of code": re.compile("```"),
    "JSON": re.compile(r"\bJSON\b"),
}


def asked_forms(rows: Sequence[Example], way: str) -> dict[str, int]:
    """In how many of the rows the prompt has the mark of a form; also of the tags in `way`."""
    marks = {**{tag: re.compile(re.escape(tag)) for tag in _tags_in(way)}, **_MARKS}
    texts = ["\n".join(_texts(row)) for row in rows]
    counts = {form: sum(mark.search(text) is not None for text in texts) for form, mark in marks.items()}
    return {form: count for form, count in counts.items() if count}


def times_asked(way: str, asked: Mapping[str, int]) -> int:
    """In how many prompts the whole of a way stands."""
    return min((asked.get(part, 0) for part in [*_tags_in(way)] or [way]), default=0)


def _tags_in(way: str) -> list[str]:
    return re.findall(r"<[^<>]+>", way)


def _texts(row: Example) -> Iterable[str]:
    return (message.content for message in row.messages if message.content)
