r"""The answer in a reference: the reference itself, or what a worked solution marks as its answer.

Datasets such as GSM8K and MATH hold whole solutions, which end in `#### 72`, or have the answer in `\boxed{}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from verifine.graders.extraction import find_tagged
from verifine.graders.labels import last_stated, without_label
from verifine.graders.latex import find_closing_brace, plain
from verifine.graders.numerals import parse_number
from verifine.graders.sample_error import SampleError
from verifine.types import GradeFault

PROSE_WORDS = 12
"""Several lines with at least this many words are a solution, not an answer."""

_HASHES = "####"
_BOX = r"\boxed{"
_WORD = re.compile(r"(?<![\\\w])[^\W\d_]{2,}")


class AnswerMark(StrEnum):
    """What marks the answer in a reference."""

    WHOLE = "nothing: the whole reference is the answer"
    HASHES = "####"
    TAGS = "<answer>"
    BOX = "\\boxed{}"
    LABEL = "a label"
    """Such as `Answer:` before the last line, or "the answer is" in it."""
    LAST_LINE = "the last line"
    """A number on a line of its own, behind lines of words."""
    MISSING = "nothing, though it is a worked solution"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAnswer:
    """The answer that a reference gives."""

    text: str
    """Without outer blanks. The whole reference where nothing marks the answer."""
    mark: AnswerMark

    @property
    def is_in_a_solution(self) -> bool:
        """Whether the reference has more than the answer."""
        return self.mark is not AnswerMark.WHOLE


def reference_answer(reference: str) -> ReferenceAnswer:
    """The answer in a reference, for every grader that compares with one.

    A text of one line, or of several that are no prose, is its own answer unless something marks one.

    Raises:
        SampleError: nothing follows the mark, or several different answers are marked.
    """
    text = reference.strip()
    last = text.splitlines()[-1].strip() if text else ""
    if _HASHES in last:
        return _marked(last.rpartition(_HASHES)[2].lstrip("#"), AnswerMark.HASHES)
    tagged = find_tagged(text, tag="answer")
    if tagged is not None:
        return _marked(tagged, AnswerMark.TAGS)
    boxes = _boxes_of_the_last_line_with_any(text)
    if len(set(boxes)) > 1:
        raise _broken(f"has several different answers in {_BOX}}}: {', '.join(boxes[:3])}")
    if boxes:
        return _marked(boxes[-1], AnswerMark.BOX)
    return _of_last_line(text, last)


def readable_reference(reference: str) -> ReferenceAnswer:
    """The same, for graders that need an answer of a few words.

    Raises:
        SampleError: also where a worked solution marks no answer.
    """
    found = reference_answer(reference)
    if found.mark is AnswerMark.MISSING:
        raise _broken(
            f'is a text of several lines that marks no answer, "{found.text[:40]}..."; end it with "#### ANSWER", or '
            "put the answer into a field of its own"
        )
    return found


def _of_last_line(text: str, last: str) -> ReferenceAnswer:
    labelled = without_label(last)
    if labelled != last:
        return _marked(_without_full_stop(labelled), AnswerMark.LABEL)
    before = text[: len(text) - len(last)]
    lines = before.strip().splitlines()
    if lines and without_label(f"{lines[-1]}\n{last}") == last:
        return _marked(last, AnswerMark.LABEL)
    words = len(_WORD.findall(text))
    stated = last_stated(last) if before.strip() or words >= PROSE_WORDS else None
    if stated is not None:
        return _marked(_without_full_stop(stated), AnswerMark.LABEL)
    if _WORD.search(before) is not None and parse_number(plain(last)) is not None:
        return _marked(last, AnswerMark.LAST_LINE)
    is_solution = bool(before.strip()) and words >= PROSE_WORDS
    return ReferenceAnswer(text=text, mark=AnswerMark.MISSING if is_solution else AnswerMark.WHOLE)


def _marked(text: str, mark: AnswerMark) -> ReferenceAnswer:
    if not text.strip():
        raise _broken(f"has no answer behind {mark}")
    return ReferenceAnswer(text=text.strip(), mark=mark)


def _broken(fault: str) -> SampleError:
    return SampleError(f"the reference {fault}; fix the row", GradeFault.INVALID_VARIABLE)


def _without_full_stop(text: str) -> str:
    return text[:-1] if text.endswith(".") and not text.endswith("..") else text


def _boxes_of_the_last_line_with_any(text: str) -> list[str]:
    r"""The contents of the boxes on the line where the last `\boxed{}` opens."""
    last = text.rfind(_BOX)
    if last < 0:
        return []
    boxes, position = [], text.rfind("\n", 0, last) + 1
    while (opening := text.find(_BOX, position)) >= 0:
        start = opening + len(_BOX)
        end = find_closing_brace(text, start)
        if end is None:
            break
        boxes.append(text[start:end].strip())
        position = end
    return boxes
