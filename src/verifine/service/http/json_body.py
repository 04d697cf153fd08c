"""How the description of the API tells what a route reads or writes itself, without FastAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def name_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """JSON of this schema, which `/openapi.json` has by its name."""
    return {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}}


def json_body(schema: type[BaseModel], *, is_required: bool = True) -> dict[str, Any]:
    """For `openapi_extra`: the body is JSON of this schema."""
    return {"requestBody": {"required": is_required, "content": {"application/json": name_schema(schema)}}}
