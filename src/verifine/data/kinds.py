"""The kinds of JSON values, in words."""

from __future__ import annotations

from verifine.types import Json


def kind_of(value: Json) -> str:
    """The kind of a value, as it reads after "is"."""
    names = {"NoneType": "null", "bool": "true or false", "str": "text", "list": "a list", "dict": "an object"}
    return names.get(type(value).__name__, "a number")
