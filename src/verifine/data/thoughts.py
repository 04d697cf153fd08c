"""What an answer says behind its thoughts: a value that a model only thinks about is not its answer."""

from __future__ import annotations

OPENING, CLOSING = "<think>", "</think>"


def behind_thoughts(text: str) -> str:
    """The text behind the last `</think>`; nothing, if a `<think>` behind it is never closed."""
    behind = text.rpartition(CLOSING)[2]
    return "" if OPENING in behind else behind


def is_open(text: str) -> bool:
    """Whether a thought is open at the end of the text."""
    return OPENING in text.rpartition(CLOSING)[2]
