"""JSON Schema for answers that nobody vouches for: nothing is fetched, and every check ends."""

from __future__ import annotations

from verifine.graders.schema.keywords import SchemaTimeoutError
from verifine.graders.schema.validator import SchemaValidator

__all__ = ["SchemaTimeoutError", "SchemaValidator"]
