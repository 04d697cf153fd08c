"""Texts of rows and models, as long as a finding shows them."""

from __future__ import annotations

SHOWN_CHARACTERS = 60


def shorten(text: str, longest: int = SHOWN_CHARACTERS) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
