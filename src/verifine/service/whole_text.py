"""Text that JSON in UTF-8 can hold: a model, or a row of data, may have half of a surrogate pair."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def make_whole(value: Any) -> Any:
    """The value with a question mark for each half; lengths stay."""
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")
    if isinstance(value, dict):
        return {make_whole(key): make_whole(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [make_whole(each) for each in value]
    return value


WholeText = Annotated[str, BeforeValidator(make_whole)]
