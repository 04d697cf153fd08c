"""What is a schema inside a JSON schema: a name of a property may be the same word as a keyword."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from urllib.parse import unquote

from verifine.types import Json

_LITERALS = ("const", "enum", "default", "examples")
"""Keywords whose values are no schemas."""

_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
"""Keywords whose values are objects with a schema under each name."""

_COMBINING = ("anyOf", "oneOf", "$ref", "patternProperties")
"""Keywords that, beside others, make several schemas hold for the same value, as `allOf` always does."""

_SILENT = frozenset(
    {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples"}
)
"""Keywords that say nothing about a value."""

_MOST_DIGITS = 12
"""A number that has more counts as 1 with so many zeros: it is far too large anyway."""


def relocate(schema: Json, root: str) -> Json:
    """The schema with references that are still right when it stands at `root` of another one."""
    if isinstance(schema, list):
        return [relocate(each, root) for each in schema]
    if not isinstance(schema, dict) or _is_own_root(schema):
        return schema
    moved: dict[str, Json] = {}
    for name, value in schema.items():
        if name == "$ref" and isinstance(value, str) and value.startswith("#"):
            is_place = value[1:2] in ("", "/")  # otherwise it is the name of an anchor
            moved[name] = f"{root}{value[1:]}" if is_place else value
        elif name in _NAMED and isinstance(value, dict):
            moved[name] = {each: relocate(inner, root) for each, inner in value.items()}
        else:
            moved[name] = value if name in _LITERALS else relocate(value, root)
    return moved


def labels(schema: Json) -> set[str]:
    """The names that references may use for schemas in it. They count in all of the schema that it becomes part of."""
    if isinstance(schema, list):
        return {label for each in schema for label in labels(each)}
    if not isinstance(schema, dict):
        return set()
    own = {value for name, value in schema.items() if name in ("$id", "$anchor") and isinstance(value, str)}
    return own | labels([*schema.values()])


def remainders(schema: Json | Mapping[str, Json]) -> set[int]:
    """For each `multipleOf`, how many remainders a grammar follows; and for all of them together, if they may be."""
    divisors = set(_divisors(schema, frozenset(_steps(schema))))
    if len(divisors) > 1 and _combines(schema):
        numerators, denominators = zip(*(each.as_integer_ratio() for each in divisors), strict=True)
        divisors.add(Fraction(math.lcm(*numerators), math.gcd(*denominators)))
    return {_digits(each) for each in divisors}


def _is_own_root(schema: Mapping[str, Json]) -> bool:
    """Whether references inside it are relative to itself."""
    own = schema.get("$id")
    return isinstance(own, str) and not own.startswith("#")


def _divisors(schema: Json | Mapping[str, Json], steps: frozenset[str]) -> Iterator[Fraction]:
    """The numbers in `multipleOf`, other than 0. `steps`: see `_steps`; a reference makes a literal a schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from _divisors(each, steps)
    elif isinstance(schema, Mapping):
        for name, value in schema.items():
            if name == "multipleOf" and isinstance(value, int | float) and not isinstance(value, bool):
                if value:
                    yield abs(Fraction(str(value)))
            elif name in _NAMED and isinstance(value, dict):
                for each in value.values():
                    yield from _divisors(each, steps)
            elif name not in _LITERALS or name in steps:
                yield from _divisors(value, steps)


def _steps(value: Json | Mapping[str, Json]) -> Iterator[str]:
    """The names on the way to what the references name, also where a reference may be none."""
    if isinstance(value, list):
        for each in value:
            yield from _steps(each)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "$ref" and isinstance(inner, str):
                yield from unquote(inner).split("/")
            else:
                yield from _steps(inner)


def _combines(value: Json | Mapping[str, Json]) -> bool:
    if isinstance(value, list):
        return any(_combines(each) for each in value)
    if not isinstance(value, Mapping):
        return False
    has_beside = len(value.keys() - _SILENT) > 1
    return any(
        name == "allOf" or (name in _COMBINING and has_beside) or _combines(inner) for name, inner in value.items()
    )


def _digits(divisor: Fraction) -> int:
    """Its decimal digits as a whole number, without zeros at the end."""
    whole = divisor.numerator * 10 ** divisor.denominator.bit_length() // divisor.denominator
    digits = str(Decimal(whole)).rstrip("0")  # of an int, Python writes no more than 4300
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
