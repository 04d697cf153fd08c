"""Whether JSON fits a schema, without fetching anything and in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jsonschema import (
    Draft3Validator,
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
)
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

from verifine.errors import GraderError
from verifine.graders.patterns import PatternTimeoutError
from verifine.graders.sample_error import SampleError
from verifine.graders.schema.check import check_json_schema
from verifine.graders.schema.keywords import KEYWORDS, SchemaTimeoutError, bounded, limited
from verifine.types import Json

TIMEOUT_S = 1.0
"""Processor time for one answer; answers of common size take milliseconds."""

DRAFTS: Mapping[str, type[Validator]] = {
    draft.META_SCHEMA["$schema"].rstrip("#"): draft
    for draft in (
        Draft202012Validator,
        Draft201909Validator,
        Draft7Validator,
        Draft6Validator,
        Draft4Validator,
        Draft3Validator,
    )
}
"""By the value of `$schema`."""

_PROBES: tuple[Json, ...] = (None, True, 0, "", [], {})
"""Values that reveal a schema with endless references to itself before there is an answer."""


class SchemaValidator:
    """A JSON Schema of the draft that its `$schema` names, else of 2020-12. `format` is not checked."""

    def __init__(self, schema: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S) -> None:
        """GraderError, with the place, if it is not a schema, or refers to something outside itself."""
        self._timeout_s = timeout_s
        dialect = str(schema.get("$schema", next(iter(DRAFTS))))
        draft = DRAFTS.get(dialect.rstrip("#"))
        if draft is None:
            raise GraderError(
                f"`json_schema.$schema` is {dialect!r}, but must be one of {', '.join(DRAFTS)}; without "
                "it, the draft is 2020-12"
            )
        # The package picks a class wherever it finds `$schema`, and that one would not have the bounded keywords.
        contents = {key: value for key, value in schema.items() if key != "$schema"}
        try:
            check_json_schema(contents, draft, _keywords_elsewhere(draft))
        except RecursionError as error:
            raise GraderError("`json_schema` is nested too deep") from error
        self._validator = _bounded(draft)(contents, registry=Registry())
        for probe in _PROBES:
            self.fits(probe)

    def fits(self, value: Json) -> bool:
        """SchemaTimeoutError if it takes too long; SampleError if the value is nested too deep."""
        try:
            with limited(self._timeout_s):
                return self._validator.is_valid(value)
        except PatternTimeoutError as error:
            raise SchemaTimeoutError(str(error)) from error
        except RecursionError as error:
            raise SampleError("the schema refers to itself endlessly, or the answer is nested too deep") from error


def _keywords_elsewhere(draft: type[Validator]) -> set[str]:
    """The keywords that other drafts check and this one ignores."""
    return {keyword for each in DRAFTS.values() for keyword in each.VALIDATORS} - set(draft.VALIDATORS)


def _bounded(draft: type[Validator]) -> type[Validator]:
    """The same draft, with our versions of some keywords, and all of them bounded in time."""
    keywords = {key: KEYWORDS.get(key, keyword) for key, keyword in draft.VALIDATORS.items()}
    make: Callable[..., type[Validator]] = extend
    return make(draft, {key: bounded(keyword) for key, keyword in keywords.items()})
