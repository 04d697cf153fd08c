"""Text that JSON in UTF-8, or a database, can hold: a model, or a row of data, may have half of a surrogate pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator


def make_whole(value: Any) -> Any:
    """The value with a question mark for each half; lengths stay."""
    return _change(value, lambda text: text.encode("utf-8", errors="replace").decode("utf-8"))


def make_storable(value: Any) -> Any:
    """The same, and a question mark for each NUL, which PostgreSQL stores nowhere."""
    return _change(make_whole(value), lambda text: text.replace("\0", "?"))


def _change(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_change(key, change): _change(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_change(each, change) for each in value]
    return value


WholeText = Annotated[str, BeforeValidator(make_whole)]
