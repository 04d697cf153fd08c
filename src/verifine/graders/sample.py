"""The `sample` that templates and Python graders see."""

from __future__ import annotations

import json

from verifine.types import Json, Sample

SAMPLE_FIELDS = ("output_text", "output_json")


def sample_fields(sample: Sample) -> dict[str, Json]:
    """The answer as text, and as JSON where it is JSON (else None)."""
    return {"output_text": sample.output_text, "output_json": _parsed(sample.output_text)}


def _parsed(text: str) -> Json:
    try:
        value: Json = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
