r"""Finding an answer in a text: in the last `\boxed{}`, in tags, on the last line, in a block of code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, assert_never

from verifine.data.thoughts import behind_thoughts
from verifine.graders.latex import find_closing_brace
from verifine.graders.unseen import without_unseen_end

AnswerPlace = Literal["boxed", "answer", "think_answer", "any"]

PLACE_TAGS: Mapping[AnswerPlace, tuple[str, ...]] = {
    "boxed": (),
    "answer": ("answer",),
    "think_answer": ("think", "answer"),
    "any": ("answer",),
}
"""The tags that each place is told by."""

_BOX = r"\boxed{"
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_CODE_FENCE = re.compile(r"```(?:python|py)3?[ \t]*\r?\n", re.IGNORECASE)
_NEXT_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)


def extract_answer(text: str, place: AnswerPlace) -> str | None:
    """The answer without outer blanks, which may be empty; None where the text does not have that format."""
    match place:
        case "boxed":
            answer = find_boxed(behind_thoughts(text))
        case "answer":
            answer = find_tagged(text, tag="answer")
        case "think_answer":
            answer = find_after_thinking(text)
        case "any":
            answer = find_anywhere(behind_thoughts(text))
        case place:
            assert_never(place)
    return None if answer is None else without_unseen_end(answer).strip()


def find_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{}`; None if there is none, or the last one is never closed."""
    opening = text.rfind(_BOX)
    if opening < 0:
        return None
    start = opening + len(_BOX)
    end = find_closing_brace(text, start)
    return None if end is None else text[start:end]


def find_tagged(text: str, *, tag: str) -> str | None:
    """The text between the tags; None unless there is exactly one pair of them and nothing is seen behind it."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    if text.count(opening) != 1 or text.count(closing) != 1 or not without_unseen_end(text).endswith(closing):
        return None
    return text[text.index(opening) + len(opening) : text.index(closing)]


def find_after_thinking(text: str) -> str | None:
    """The same for `answer`, after one pair of `<think>` tags; text before and between the pairs is allowed."""
    positions = [text.find(tag) for tag in _TAGS]
    if any(text.count(tag) != 1 for tag in _TAGS) or positions != sorted(positions):
        return None
    return find_tagged(text, tag="answer")


def find_anywhere(text: str) -> str | None:
    r"""The last `\boxed{}`, else the `<answer>` tags, else the last line; None for a blank text."""
    for found in (find_boxed(text), find_tagged(text, tag="answer")):
        if found is not None:
            return found
    lines = without_unseen_end(text).strip().splitlines()
    return lines[-1] if lines else None


def find_program(text: str) -> str | None:
    """The text between the last fence of Python code and the next fence; None without both, or if it is blank."""
    fences = list(_CODE_FENCE.finditer(text))
    if not fences:
        return None
    start = fences[-1].end()
    end = _NEXT_FENCE.search(text, start)
    program = text[start : end.start()] if end is not None else ""
    return program if program.strip() else None
