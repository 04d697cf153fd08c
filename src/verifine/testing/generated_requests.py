"""Requests that are made up from the description of the service: mostly right, often wrong in some place.

They are the same for the same seed. Values follow the schemas; now and then one is exchanged for a hostile one, a field
is left out or added, or the body is cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

HOSTILE: Sequence[Any] = (
    *(None, True, -1, 0, 2**63, 10**30, 1e308, -0.0, "", " ", "\x00", "a\x00b", "\ud83d", "é\u202e", "a" * 5000),
    *("../../etc/passwd", "' OR 1=1 --", "%00", "null", "NaN", "9" * 400, "{{ item.x }}", "{{", "http://127.0.0.1:1"),
    *([], {}, [[]], {"": None}, [None], {"type": "nothing"}),
)
BROKEN_BODIES = (b"", b"{", b"null", b"[]", b'"a"', b"\xff\xfe", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 2000)
METHODS = ("get", "post", "put", "delete")
WRONG = 0.06
"""How often a value is exchanged."""
DEEPEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedRequest:
    """A request."""

    method: str
    path: str
    """With its query."""
    route: str
    """As the description has it."""
    headers: Mapping[str, str]
    body: bytes


class RequestGenerator:
    """Makes requests. `known` has, for each parameter of paths, values that there are."""

    def __init__(self, description: Mapping[str, Any], known: Mapping[str, Sequence[str]], seed: int) -> None:
        self._description, self._known, self._random = description, known, Random(seed)  # noqa: S311 - no secret
        self._routes = [
            (path, method, operation)
            for path, methods in sorted(description["paths"].items())
            for method, operation in sorted(methods.items())
            if method in METHODS
        ]

    def requests(self, count: int) -> Iterator[GeneratedRequest]:
        """Each route gets about as many."""
        for number in range(count):
            yield self._request(*self._routes[number % len(self._routes)])

    def _request(self, path: str, method: str, operation: Mapping[str, Any]) -> GeneratedRequest:
        target, query, headers = path, [], {}
        for parameter in operation.get("parameters", ()):
            name, place = parameter["name"], parameter["in"]
            if place == "path":
                value = self._path_value(name)
                target = target.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
            elif place == "header":
                if self._random.random() < 0.5:
                    headers[name] = self._header(parameter)
            elif parameter.get("required") or self._random.random() < 0.5:
                query += [
                    f"{quote(name)}={quote(self._text(parameter))}" for _ in range(self._random.choice((1, 1, 2)))
                ]
        if self._random.random() < WRONG:
            query.append(f"{quote(self._hostile_text())}={quote(self._hostile_text())}")
        if self._random.random() < WRONG:
            method = self._random.choice(METHODS)
        body, kind = self._body(operation)
        if kind:
            headers["content-type"] = kind
        return GeneratedRequest(
            method=method.upper(),
            path="?".join([target, *(["&".join(query)] if query else [])]),
            route=path,
            headers=headers,
            body=body,
        )

    def _path_value(self, name: str) -> str:
        known = self._known.get(name, ())
        text = self._random.choice(known) if known and self._random.random() < 0.8 else self._hostile_text()
        return quote(text, safe="") or "x"

    def _text(self, parameter: Mapping[str, Any]) -> str:
        known = self._known.get(parameter["name"], ())
        if known and self._random.random() < 0.5:
            return self._random.choice(known)
        value = self._value(parameter.get("schema", {}), 0)
        if isinstance(value, list):
            value = value[0] if value else ""
        return value.encode(errors="replace").decode() if isinstance(value, str) else json.dumps(value)

    def _header(self, parameter: Mapping[str, Any]) -> str:
        """Of what a client can send."""
        return "".join(each for each in self._text(parameter) if " " <= each <= "~").strip() or "x"

    def _hostile_text(self) -> str:
        return str(self._random.choice(HOSTILE)).encode(errors="replace").decode()[:500]

    def _body(self, operation: Mapping[str, Any]) -> tuple[bytes, str]:
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            return (b"{}", "application/json") if self._random.random() < WRONG else (b"", "")
        if "multipart/form-data" in content:
            return self._form(), "multipart/form-data; boundary=b"
        if self._random.random() < WRONG:
            return self._random.choice(BROKEN_BODIES), self._random.choice(("application/json", "text/plain"))
        value = self._value(next(iter(content.values())).get("schema", {}), 0)
        text = json.dumps(value)
        if self._random.random() < WRONG:
            text = text[: self._random.randrange(len(text) + 1)]
        return text.encode(), "application/json"

    def _form(self) -> bytes:
        fields = [("purpose", "fine-tune"), ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")]
        chosen = [each for each in fields if self._random.random() < 0.8]
        if self._random.random() < WRONG:
            chosen.append((self._hostile_text()[:50], self._hostile_text()))
        parts = [
            f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in chosen
        ]
        name = self._random.choice(("a.jsonl", "b.csv", "../../x.jsonl", "\x00.jsonl", "é.jsonl", "c.exe"))
        content = self._random.choice((b'{"prompt": "a"}\n', b"", b"\xff\x00", b"a" * 1000))
        if self._random.random() < 0.9:
            head = f'--b\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
            parts.append(head.encode() + content + b"\r\n")
        self._random.shuffle(parts)
        whole = b"".join(parts) + b"--b--\r\n"
        return whole[: self._random.randrange(len(whole))] if self._random.random() < WRONG else whole

    def _value(self, schema: Mapping[str, Any], depth: int, name: str = "") -> Any:
        if self._random.random() < WRONG:
            return self._random.choice(HOSTILE)
        if name in self._known and self._random.random() < 0.9:
            return self._random.choice(self._known[name])
        if "$ref" in schema:
            return self._value(self._description["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._value(self._random.choice(schema[union]), depth, name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        random = self._random
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                count = 0 if depth > DEEPEST else random.randrange(schema.get("minItems", 0), 4)
                return [self._value(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "integer":
                low = schema.get("minimum", schema.get("exclusiveMinimum", -3))
                return random.randint(int(low), int(min(schema.get("maximum", low + 50), low + 50)))
            case "number":
                return round(random.uniform(schema.get("minimum", -1), schema.get("maximum", 3)), 3)
            case "boolean":
                return random.random() < 0.5
            case "null":
                return None
            case "string":
                return random.choice(
                    ("a", "auto", "user", "b c", "{{ sample.output_text }}", "{{ item.answer }}", "x" * 64)
                )
        return random.choice(("a", 1, None, True, {"a": "b"}, [1]))

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        random, made = self._random, {}
        required = schema.get("required", ())
        for name, each in schema.get("properties", {}).items():
            likely = 0.97 if name in required else 0.3 if depth < DEEPEST else 0.0
            if random.random() < likely:
                made[name] = self._value(each, depth + 1, name)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict) and depth < DEEPEST:
            made |= {f"key{n}": self._value(extra, depth + 1) for n in range(random.randrange(3))}
        if random.random() < WRONG:
            made[self._hostile_text()[:40]] = random.choice(HOSTILE)
        return made
