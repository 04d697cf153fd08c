"""What an answer says behind its thoughts: a value that a model only thinks about is not its answer."""

from __future__ import annotations

_OPENING, _CLOSING = "<think>", "</think>"


def behind_thoughts(text: str) -> str:
    """The text behind the last `</think>`; nothing, if a `<think>` behind it is never closed."""
    behind = text.rpartition(_CLOSING)[2]
    return "" if _OPENING in behind else behind
