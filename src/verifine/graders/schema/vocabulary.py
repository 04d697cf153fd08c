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
_OTHER_WORDS = {
    **dict.fromkeys(("property", "field", "fields", "keys"), "properties"),
    **dict.fromkeys(("requiredproperties", "requiredfields", "requiredkeys", "mandatory"), "required"),
    **dict.fromkeys(("min", "minvalue", "gte", "ge"), "minimum"),
    **dict.fromkeys(("max", "maxvalue", "lte", "le"), "maximum"),
    **dict.fromkeys(("exclusivemin", "gt"), "exclusiveMinimum"),
    **dict.fromkeys(("exclusivemax", "lt"), "exclusiveMaximum"),
    **dict.fromkeys(("minlen", "minimumlength"), "minLength"),
    **dict.fromkeys(("maxlen", "maximumlength"), "maxLength"),
    **dict.fromkeys(("regex", "regexp"), "pattern"),
    **dict.fromkeys(("value", "values", "option", "options", "choice", "choices", "allowedvalues"), "enum"),
    **dict.fromkeys(("unique", "uniqueitem"), "uniqueItems"),
}
"""What people and other libraries call a keyword, in the form of `_plain`."""
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
        if name == "schema":
            raise GraderError(
                "`json_schema` has `schema` among other keywords, which JSON Schema does not know and would ignore; "
                "write what stands in it in its place"
            )
        meant = _find_meant(name, [*keywords, "$defs"])
        if meant is not None:
            raise GraderError(
                f"`json_schema` has `{name}`, which JSON Schema does not know and would ignore; did you mean `{meant}`?"
            )


def _find_meant(name: str, keywords: Collection[str]) -> str | None:
    """The keyword that an unknown name most likely means; None: it looks like a note of its author."""
    plain = _plain(name)
    same = next((keyword for keyword in keywords if _plain(keyword) == plain), None)
    other = _OTHER_WORDS.get(plain)
    near = get_close_matches(name, keywords, n=1, cutoff=_SIMILAR)
    return same or (other if other in keywords else None) or (near[0] if near else None)


def _plain(name: str) -> str:
    """The name without what tells `any_of`, `anyof` and `anyOf` apart."""
    return name.casefold().replace("_", "").replace("-", "").lstrip("$")


def check_it_constrains(schema: Mapping[str, Any], keywords: Collection[str]) -> None:
    """GraderError if the schema has no keyword that any JSON could fail."""
    if not schema.keys() & set(keywords) - _UNCHECKED:
        raise GraderError(
            f"`json_schema` constrains nothing, so any JSON fits it: it has {', '.join(schema) or 'no keywords'}; "
            "write a JSON Schema, such as {type: object, properties: ..., required: ...}"
        )
