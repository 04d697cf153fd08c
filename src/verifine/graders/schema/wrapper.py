"""Finding the JSON Schema inside the objects that OpenAI's API has around it."""

from __future__ import annotations

from collections.abc import Mapping

from verifine.data.field_path import open_json
from verifine.errors import GraderError
from verifine.types import Json

_NAMING = {"type", "name", "description", "strict"}
"""What a wrapper says of its schema; none of them but `type` and `description` is of JSON Schema."""
_AROUND: Mapping[str, set[str]] = {
    "response_format": {"type", "model", "messages"},
    "text": {"type", "model", "input", "instructions"},
    "format": {"type", "verbosity"},
    "json_schema": _NAMING,
}
"""Fields that hold a wrapped schema, from the outside in, and what may stand beside each."""


def read_schema(value: Json | Mapping[str, Json]) -> Mapping[str, Json]:
    """The schema itself, taken out of `{name, strict, schema}` and what is around that; JSON text is parsed.

    Raises:
        GraderError: this is neither a schema nor one in a wrapper.
    """
    given = open_json(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise GraderError(f"`json_schema` is {_shown(given)}, not a JSON Schema; write an object, or JSON text of one")
    if given.keys() <= {*_NAMING, "schema"} and "schema" in given and given.get("type", "json_schema") == "json_schema":
        return read_schema(given["schema"])
    outer = next((field for field in _AROUND if isinstance(open_json(given.get(field)), dict)), None)
    if outer is None or given.get("type", "json_schema") != "json_schema":
        return given
    return read_schema(given[outer]) if given.keys() - {outer} <= _AROUND[outer] else given


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
