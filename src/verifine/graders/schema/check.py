"""Whether a JSON Schema can be used; checked before there is an answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jsonschema import SchemaError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from verifine.errors import GraderError
from verifine.graders.patterns import BoundedPattern
from verifine.graders.schema.vocabulary import check_it_constrains, check_keywords

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def check_json_schema(schema: Mapping[str, Any], draft: type[Validator], elsewhere: Collection[str]) -> None:
    """GraderError if it is not a schema of the draft, refers to something outside itself, or means nothing.

    `elsewhere` are the keywords that only other drafts have.
    """
    used: set[str] = set()
    for inner in _schemas_in(schema, draft):
        check_keywords(inner, draft.VALIDATORS, elsewhere)
        used |= inner.keys()
        for expression in _expressions_of(inner):
            BoundedPattern(expression)
    check_it_constrains(schema, draft.VALIDATORS)
    if "$schema" in used:
        raise GraderError("`json_schema` has `$schema` inside; it is allowed at the top only")
    if {"patternProperties", "unevaluatedProperties"} <= used:
        raise GraderError(
            "`json_schema` has both `patternProperties` and `unevaluatedProperties`, which has no time limit on "
            "some answers; take `additionalProperties` for one of them"
        )


def _schemas_in(schema: Mapping[str, Any], draft: type[Validator]) -> Iterator[Mapping[str, Any]]:
    """The schema, those inside it, and those it refers to, each once."""
    specification = specification_with(str(draft.META_SCHEMA["$schema"]))
    registry: Registry[Any] = Registry()
    _check_form(schema, draft)
    root = specification.create_resource(schema)
    pending = [(root, registry.resolver_with_root(root))]
    seen: set[int] = set()
    while pending:
        resource, resolver = pending.pop()
        if not isinstance(resource.contents, Mapping) or id(resource.contents) in seen:
            continue
        seen.add(id(resource.contents))
        yield resource.contents
        pending += [(each, resolver.in_subresource(each)) for each in resource.subresources()]
        for reference in (resource.contents[key] for key in _REFERENCES if key in resource.contents):
            try:
                found = resolver.lookup(reference)
            except Unresolvable as error:
                raise GraderError(f"`json_schema` refers to {reference!r}, which is not in it") from error
            _check_form(found.contents, draft)
            pending.append((specification.create_resource(found.contents), found.resolver))


def _check_form(schema: Any, draft: type[Validator]) -> None:
    try:
        draft.check_schema(schema)
    except SchemaError as error:
        place = error.json_path.replace("$", "json_schema", 1)
        raise GraderError(f"`{place}` is not a JSON Schema: {error.message}") from error


def _expressions_of(schema: Mapping[str, Any]) -> list[str]:
    return [*schema.get("patternProperties", {}), *(schema[key] for key in ("pattern",) if key in schema)]
