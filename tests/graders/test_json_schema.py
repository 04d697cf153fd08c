from __future__ import annotations

from dataclasses import replace

import pytest

from verifine.config.graders import JsonSchemaGraderConfig
from verifine.errors import GraderError
from verifine.graders import build_grader
from verifine.types import Grade, GradeFault, Json, Sample

INVOICE: dict[str, Json] = {
    "type": "object",
    "properties": {"total": {"type": "number", "minimum": 0}, "lines": {"type": "array"}},
    "required": ["total"],
    "additionalProperties": False,
}


def grade(text: str, *, schema: dict[str, Json], template: str = "{{ sample.output_text }}") -> Grade:
    config = JsonSchemaGraderConfig(type="json_schema", name="invoice", json_schema=schema, input=template)
    (result,) = build_grader(config).grade([Sample(output_text=text, item={})])
    return replace(result, seconds=0.0)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"total": 3}', True),
        (' {"total": 0.5, "lines": [1]}\n', True),
        ('{"total": -1}', False),
        ('{"lines": []}', False),
        ('{"total": 3, "tax": 1}', False),
        ("[]", False),
        # No strict JSON is a wrong answer.
        ('```json\n{"total": 3}\n```', False),
        ('{"total": 3', False),
        ('{"total": NaN}', False),
        ('{"total": 1, "total": 3}', False),
        ("The total is 3.", False),
        ("", False),
        ("[" * 200 + "]" * 200, False),
    ],
)
def test_score_is_whether_the_answer_is_json_that_fits(text: str, fits: bool) -> None:
    assert grade(text, schema=INVOICE) == Grade(score=float(fits), parts={"invoice": float(fits)}, format_ok=fits)


def test_a_part_of_the_answer_can_be_judged() -> None:
    template = "{{ sample.output_json.invoice }}"
    assert grade('{"invoice": {"total": 3}}', schema=INVOICE, template=template).score == 1
    missing = grade("no JSON", schema=INVOICE, template=template)
    assert (missing.score, missing.faults) == (0, frozenset({GradeFault.SAMPLE_PARSE}))


def test_an_answer_that_takes_too_long_is_unscorable() -> None:
    result = grade('"' + "a" * 20_000 + '"', schema={"pattern": "^.*a.*a.*a.*a.*b"})
    assert (result.score, result.faults) == (None, frozenset({GradeFault.UNRESPONSIVE_REWARD}))


def test_an_answer_nested_too_deep_to_look_into_is_unscorable() -> None:
    endless: dict[str, Json] = {"properties": {"a": {"$ref": "#/properties/a"}}}
    result = grade('{"a": 1}', schema=endless)
    assert (result.score, result.faults) == (None, frozenset({GradeFault.OTHER}))


def test_a_schema_that_is_none_is_refused_when_built() -> None:
    with pytest.raises(GraderError, match=r"`json_schema\.type` is not a JSON Schema"):
        build_grader(JsonSchemaGraderConfig(type="json_schema", json_schema={"type": "objct"}))
