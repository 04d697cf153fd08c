"""What an answer says behind its thoughts: a value that a model only thinks about is not its answer."""

from __future__ import annotations

OPENING, CLOSING = "<think>", "</think>"


def behind_thoughts(text: str) -> str:
    """The text behind the last `</think>`; nothing, if a `<think>` behind it is never closed."""
    behind = text.rpartition(CLOSING)[2]
    return "" if OPENING in behind else behind


def find_answer(opened: str, text: str) -> int:
    """Where the answer begins in what a model wrote after `opened`, which is as in `Prompt`.

    It is behind the last `</think>` and the line breaks after it, where Qwen 3's template cuts earlier thoughts off; at
    the end of the text if the thought is never closed.
    """
    if is_open(opened + text):
        return len(text)
    closed = text.rfind(CLOSING)
    if closed < 0:
        return 0
    behind = text[closed + len(CLOSING) :]
    return len(text) - len(behind.lstrip("\n"))


def bare_thought(text: str) -> str:
    """The text of a thought without its tags and the blanks around it."""
    return text.replace(OPENING, "").replace(CLOSING, "").strip()


def is_open(text: str) -> bool:
    """Whether a thought is open at the end of the text."""
    return OPENING in text.rpartition(CLOSING)[2]
