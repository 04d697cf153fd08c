"""The page of the service's API, from its description."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from verifine.service.child import Children
from verifine.service.database import Database
from verifine.service.http.app import build_service
from verifine.service.limits import ServiceLimits
from verifine.testing.endpoint_processes import FakeEndpoints
from verifine.testing.service_parts import make_parts

INTRODUCTION = """\
What `verifine serve` answers, as `/openapi.json` describes it; [the job service](../service.md) says what it is for.
Routes under `/v1` have OpenAI's form, and [this table](../migrate-from-openai.md) compares them field by field.
A route with a scope needs a key that has it, as `Authorization: Bearer KEY` ([keys](../operate.md#owners-and-keys)).

An answer with a status of 400 or more is an [ErrorAnswer](#erroranswer); its `param` is the place of what is wrong."""
GRADERS = "GraderConfig"
"""How the schemas end that the page of graders has."""
ANY = "JsonValue"


def api_page(notice: str) -> str:
    described = _describe()
    tags: dict[str, list[list[str]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation.get("tags", ["Running"])[0], []).append(_route(path, method, operation))
    parts = [notice, "# The API of the service", INTRODUCTION]
    for tag, rows in tags.items():
        parts += [f"## {tag}", _table(("route", "scope", "what it does", "body", "answer"), rows)]
    parts.append("## Objects")
    parts += _objects(described["components"]["schemas"])
    return "\n\n".join(parts) + "\n"


def _describe() -> Mapping[str, Any]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        database = Database(f"sqlite:///{folder / 'service.db'}")
        parts = make_parts(
            database,
            folder,
            now=time.time,
            key="",
            limits=ServiceLimits(),
            endpoints=FakeEndpoints(folder / "socket"),
            children=Children(environment={}),
            inspect=lambda *_: b"",
        )
        described = build_service(parts).openapi()
        database.close()
    return described


def _route(path: str, method: str, operation: Mapping[str, Any]) -> list[str]:
    queries = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    shown = f"{method.upper()} {path}" + (f"?{'&'.join(queries)}" if queries else "")
    text = operation.get("description") or operation["summary"]
    return [
        f"`{shown}`",
        _scope(operation["x-scope"]),
        " ".join(text.split()),
        _content(operation.get("requestBody", {})),
        _content(next(iter(operation["responses"].values()))),
    ]


def _scope(need: str) -> str:
    return {"nothing": "", "key": "any"}.get(need, f"`{need}`")


def _content(part: Mapping[str, Any]) -> str:
    """Of a body: objects by name, anything else by its media type."""
    found = []
    for media, described in part.get("content", {}).items():
        kind = _type(described["schema"]) if media == "application/json" else media
        found.append(kind)
    return " or ".join(found)


def _objects(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(schemas):
        schema = schemas[name]
        properties = schema.get("properties")
        if name == ANY or name.endswith(GRADERS):
            continue
        yield f"### {name}"
        if schema.get("description"):
            yield _escape(" ".join(schema["description"].split()))
        if properties is None:
            yield f"{_type(schema)}."
            continue
        required = schema.get("required", ())
        rows = [
            [f"`{field}`", _type(each), "" if field in required else "may be left out", _meaning(each)]
            for field, each in properties.items()
        ]
        yield _table(("field", "type", "", "meaning"), rows)


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name.endswith(GRADERS):
            return "[grader](graders.md)"
        return "any JSON" if name == ANY else f"[{name}](#{name.lower()})"
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(map(_type, schema[union])))
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return f"list of {_type(schema.get('items', {}))}"
        case "object":
            values = schema.get("additionalProperties")
            return f"object of {_type(values)}" if isinstance(values, dict) else "object"
        case "null":
            return "null"
        case str() as kind:
            return {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(kind, kind)
    return "any JSON"


def _meaning(schema: Mapping[str, Any]) -> str:
    return _escape(schema.get("description", ""))


def _table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])


def _escape(text: str) -> str:
    return text.replace("<", "&lt;")
