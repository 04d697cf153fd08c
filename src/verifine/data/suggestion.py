"""The name closest to a mistyped one, for the hint in an error message."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause such as ` (did you mean "largest"?)`, or an empty string where nothing is near."""
    nearest = get_close_matches(name, list(known), n=1)
    return f' (did you mean "{nearest[0]}"?)' if nearest else ""
