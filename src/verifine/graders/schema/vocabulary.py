"""Whether a schema says what its author means: keywords that JSON Schema ignores look as if they were checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from verifine.errors import GraderError

_ANNOTATIONS = {
    *("$schema", "$id", "id", "$anchor", "$defs", "definitions", "$comment", "$vocabulary", "$dynamicAnchor"),
    *("$recursiveAnchor", "title", "description", "default", "examples", "example", "deprecated", "readOnly"),
    *("writeOnly", "contentEncoding", "contentMediaType", "contentSchema", "then", "else", "minContains"),
    *("maxContains", "discriminator", "xml", "externalDocs"),
}
"""Names and notes, of OpenAPI as well, and keywords that belong to another one."""
_UNCHECKED = {"format"}
"""Keywords of JSON Schema that only describe."""
_SIMILAR = 0.85
"""A likeness above that of any two keywords that are not each other's misspelling."""


def check_keywords(schema: Mapping[str, Any], keywords: Collection[str], elsewhere: Collection[str]) -> None:
    """Checks one schema, without those inside it. `keywords` are those of its draft, `elsewhere` those of the others.

    Raises:
        GraderError: a keyword would be ignored although its author means something by it.
    """
    for name in schema:
        if name in keywords or name in _ANNOTATIONS or name.startswith("x-"):
            continue
        if name == "nullable":
            raise GraderError(
                "`json_schema` has `nullable`, which JSON Schema does not know and would ignore; write "
                'type: ["string", "null"], or anyOf with {"type": "null"}'
            )
        if name in elsewhere:
            raise GraderError(
                f"`json_schema` has `{name}`, which its draft would ignore; name the draft that has it in `$schema`, "
                "or write it as this draft does"
            )
        meant = get_close_matches(name, [*keywords, "$defs"], n=1, cutoff=_SIMILAR)
        if meant:
            raise GraderError(
                f"`json_schema` has `{name}`, which JSON Schema does not know and would ignore; did you mean "
                f"`{meant[0]}`?"
            )


def check_it_constrains(schema: Mapping[str, Any], keywords: Collection[str]) -> None:
    """GraderError if the schema has no keyword that any JSON could fail."""
    if not schema.keys() & set(keywords) - _UNCHECKED:
        raise GraderError(
            f"`json_schema` constrains nothing, so any JSON fits it: it has {', '.join(schema) or 'no keywords'}; "
            "write a JSON Schema, such as {type: object, properties: ..., required: ...}"
        )
