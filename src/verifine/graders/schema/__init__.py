"""JSON Schema for untrusted answers: nothing is fetched, and every check ends in bounded time."""

from __future__ import annotations

from verifine.graders.schema.keywords import SchemaTimeoutError
from verifine.graders.schema.validator import SchemaValidator
from verifine.graders.schema.wrapper import read_schema

__all__ = ["SchemaTimeoutError", "SchemaValidator", "read_schema"]
