"""How the description of the API tells what a route reads itself, after looking at its size."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def json_body(schema: type[BaseModel], *, is_required: bool = True) -> dict[str, Any]:
    """For `openapi_extra`: the body is JSON of this schema, which `/openapi.json` names."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}}}
    return {"requestBody": {"required": is_required, "content": content}}
