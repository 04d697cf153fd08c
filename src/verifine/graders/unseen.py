"""What stands at the end of an answer without being seen: blanks, marks without a shape, and the end of the turn.

A model may write an end-of-turn marker that its tokenizer takes for text, and an answer that was cut off may end
within a character. A grader of tags that wants nothing behind them ignores these.
"""

from __future__ import annotations

import re
import unicodedata

_CUT_CHARACTER = "\ufffd"
_SHAPELESS = ("Cc", "Cf")
"""Unicode's categories of control and format characters, such as a zero-width space."""
_BLANK_LETTERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
"""Characters of other categories that are drawn as nothing: fillers of Hangul, Khmer and Mongolian, and an empty
Braille cell."""
_LONGEST_MARKER = 40
_MARKER = re.compile(r"(?:<[|\uff5c][\w\u2581-]+[|\uff5c]>|</s>|<eos>|<end_of_turn>|<turn\|>)\Z")
"""As chat templates write the end of a turn."""


def without_unseen_end(text: str) -> str:
    """`text` up to the last character that a person sees."""
    end = len(text)
    while True:
        while end and _is_unseen(text[end - 1]):
            end -= 1
        marker = _MARKER.search(text[max(end - _LONGEST_MARKER, 0) : end])
        if marker is None:
            return text[:end]
        end -= len(marker[0])


def is_unseen(text: str) -> bool:
    """Whether a person sees nothing of `text`."""
    return not without_unseen_end(text)


def _is_unseen(character: str) -> bool:
    return (
        character.isspace()
        or character == _CUT_CHARACTER
        or character in _BLANK_LETTERS
        or unicodedata.category(character) in _SHAPELESS
    )
