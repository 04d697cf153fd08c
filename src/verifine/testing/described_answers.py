"""Whether answers are what `/openapi.json` says of their routes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator


class DescribedAnswers:
    """Compares answers with a description."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._description = description
        self._validators: dict[str, Draft202012Validator] = {}

    def find_fault(self, method: str, route: str, status: int, kind: str, body: bytes) -> str | None:
        """How an answer differs from its description; None: it does not.

        `route`: as the description has it; `kind`: the content type, empty if there is none.
        """
        operation = self._description["paths"][route].get(method.lower())
        if operation is None:  # there is no such route, which errors say in the form that all have
            operation = next(iter(self._description["paths"][route].values()))
        responses = operation["responses"]
        described = responses.get(str(status)) or responses.get(f"{status // 100}XX")
        if described is None:
            return f"{status} is not described"
        content = described.get("content")
        media = kind.partition(";")[0]
        if content is None:
            return None
        if media not in content:
            return f"{status} is {media or 'of no type'}, described is {', '.join(content)}"
        return self._compare(content[media]["schema"], body) if media == "application/json" else None

    def _compare(self, schema: Mapping[str, Any], body: bytes) -> str | None:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {**schema, "components": self._description["components"]}
            self._validators[key] = Draft202012Validator(whole)
        error = next(iter(self._validators[key].iter_errors(json.loads(body))), None)
        return None if error is None else f"{error.json_path}: {error.message[:300]}"
