"""What `/openapi.json` says of all routes, beyond what FastAPI finds out by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from verifine.service.http.field_docs import document_fields
from verifine.service.http.json_body import name_schema
from verifine.service.http.keys import KEYED
from verifine.service.http.route_access import ROUTES
from verifine.service.http.site import Site
from verifine.wire.api_error import ErrorBody


class ErrorAnswer(BaseModel):
    """The body of every answer whose status is 400 or more."""

    error: ErrorBody


def complete_description(
    described: dict[str, Any], named: Iterable[type[BaseModel]], answers: Iterable[object]
) -> None:
    """Adds keys and scopes, errors as the envelope writes them, what fields mean, and the schemas `named` by routes.

    FastAPI's own 422 is taken out: a wrong parameter is refused with 400. `answers`: the types that routes return.
    """
    parts = described["components"]
    own_schemas: list[type[BaseModel]] = [*named, ErrorAnswer]
    for schema in own_schemas:
        own = schema.model_json_schema(ref_template="#/components/schemas/{model}")
        parts["schemas"] |= {**own.pop("$defs", {}), schema.__name__: own}
    document_fields(parts["schemas"], (*own_schemas, *answers))
    for name in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(name, None)
    cookie = {"type": "apiKey", "in": "cookie", "name": Site().cookie}
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}, "session": cookie}
    failed = {"description": "What is wrong", "content": {"application/json": name_schema(ErrorAnswer)}}
    needs = {(method, path.replace(":path", "")): access.need for (method, path), access in ROUTES.items()}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            operation["responses"].pop("422", None)
            operation["responses"] |= {"4XX": failed, "5XX": failed}
            operation["x-scope"] = needs[method.upper(), path]
            if path.startswith(KEYED):
                operation["security"] = [{"key": []}, {"session": []}]
