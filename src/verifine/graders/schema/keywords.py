"""Keywords of JSON Schema, in bounded time.

As the `jsonschema` package has them, some take time without bound on an answer made for that: three search with regular
expressions, and uniqueItems compares every item with every other. multipleOf fails on very large numbers. And schemas
that refer to themselves can take exponential time by any keyword, so all of them look at the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol

from jsonschema import ValidationError

from verifine.graders.patterns import BoundedPattern
from verifine.graders.sample_error import SampleError
from verifine.types import GradeFault, Json

_deadline: ContextVar[float] = ContextVar("deadline")


class SchemaTimeoutError(SampleError):
    """A validation that took longer than it may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, GradeFault.UNRESPONSIVE_REWARD)


class Validator(Protocol):
    """The part of the validator that keywords use."""

    def is_type(self, instance: Any, type: str) -> bool: ...  # noqa: A002 - the package's name

    def descend(self, instance: Any, schema: Any, path: Any = None) -> Iterator[ValidationError]: ...


Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]
"""`f(validator, the keyword's value, instance, schema)`: what the instance lacks."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Validation inside raises SchemaTimeoutError after this time."""
    token = _deadline.set(time.thread_time() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def bounded(keyword: Keyword) -> Keyword:
    """The same keyword, with a look at the clock first."""

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        _seconds_left()
        return keyword(validator, value, instance, schema)

    return check


def pattern(validator: Validator, expression: str, instance: Any, schema: Json) -> Iterator[ValidationError]:  # noqa: ARG001
    if validator.is_type(instance, "string") and not _is_in(expression, instance):
        yield ValidationError(f"the text does not match {expression!r}")


def pattern_properties(
    validator: Validator,
    subschemas: Mapping[str, Json],
    instance: Any,
    schema: Json,  # noqa: ARG001
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for expression, subschema in subschemas.items():
            for name, value in instance.items():
                if _is_in(expression, name):
                    yield from validator.descend(value, subschema, path=name)


def additional_properties(
    validator: Validator, subschema: Json, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        expressions = schema.get("patternProperties", {})
        for name, value in instance.items():
            if name not in schema.get("properties", {}) and not any(_is_in(each, name) for each in expressions):
                yield from validator.descend(value, subschema, path=name)


def unique_items(validator: Validator, wanted: bool, instance: Any, schema: Json) -> Iterator[ValidationError]:  # noqa: ARG001
    if wanted and validator.is_type(instance, "array") and len({_key(item) for item in instance}) < len(instance):
        yield ValidationError("two items are equal")


def multiple_of(validator: Validator, divisor: float, instance: Any, schema: Json) -> Iterator[ValidationError]:  # noqa: ARG001
    # Through their decimal forms, so that 0.3 is a multiple of 0.1, and a very large integer overflows nothing.
    if validator.is_type(instance, "number") and (Fraction(str(instance)) / Fraction(str(divisor))).denominator != 1:
        yield ValidationError(f"the number is not a multiple of {divisor}")


KEYWORDS: Mapping[str, Keyword] = {
    "additionalProperties": additional_properties,
    "divisibleBy": multiple_of,
    "multipleOf": multiple_of,
    "pattern": pattern,
    "patternProperties": pattern_properties,
    "uniqueItems": unique_items,
}


def _key(value: Json) -> object:
    """Equal for equal JSON: 1 is 1.0, and neither is true."""
    match value:
        case bool():
            return (bool, value)
        case list():
            return (list, tuple(_key(item) for item in value))
        case dict():
            return (dict, frozenset((name, _key(item)) for name, item in value.items()))
        case _:
            return value


def _is_in(expression: str, text: str) -> bool:
    return _compiled(expression).is_in(text, timeout_s=_seconds_left())


@lru_cache(maxsize=1000)
def _compiled(expression: str) -> BoundedPattern:
    return BoundedPattern(expression)


def _seconds_left() -> float:
    left = _deadline.get() - time.thread_time()
    if left <= 0:
        raise SchemaTimeoutError("comparing the answer with the schema took too long; make the schema simpler")
    return left
