"""Untrusted text, on one line of a terminal."""

from __future__ import annotations


def one_line(text: str, longest: int) -> str:
    """Text of a model or a row on one line, without control characters that a terminal would obey."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
