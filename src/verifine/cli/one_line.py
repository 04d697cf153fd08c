"""What others wrote, on one line of a terminal."""

from __future__ import annotations


def one_line(text: str, longest: int) -> str:
    """What a model or a row wrote, without anything that a terminal would take for a command."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
