from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from verifine.config.graders import AnyGrader
from verifine.preflight.rows import SHOWN_ROWS, RowFault, collect_faults, row_faults
from verifine.types import Example, Json

OUTPUT = "{{ sample.output_text }}"
CASES = '{"inputs": ["1"], "outputs": ["1"]}'
"""A text that every grader can use."""
JUDGE: dict[str, Json] = {
    "type": "score_model",
    "model": "judge",
    "input": [
        {"role": "system", "content": "Be fair."},
        {"role": "user", "content": [{"type": "input_text", "text": "{{ item.rubric }}"}, "{{ item.question }}"]},
        {"role": "user", "content": {"type": "input_image", "image_url": "{{ item.picture }}"}},
    ],
}

GRADERS: dict[str, tuple[dict[str, Json], list[str]]] = {
    "string_check": (
        {"type": "string_check", "input": OUTPUT, "reference": "{{ item.answer }}", "operation": "eq"},
        ["answer"],
    ),
    "json input": (
        # What the answer lacks must not hide what the row lacks.
        {
            "type": "string_check",
            "input": "{{ sample.output_json.name }} {{ item.unit }}",
            "reference": "{{ item.answer }}",
            "operation": "eq",
        },
        ["unit", "answer"],
    ),
    "countdown": ({"type": "answer", "compare": "countdown"}, ["gt_answer", "numbers"]),
    "math": ({"type": "math", "reference": "{{ item.solution }}"}, ["solution"]),
    "code": ({"type": "code", "tests": "cases"}, ["cases"]),
    "odd name": ({"type": "number", "reference": "{{ item[\"right 'answer'\"] }}"}, ["right 'answer'"]),
    "quoted name": ({"type": "number", "reference": "{{ item['right \"answer\"'] }}"}, ['right "answer"']),
    "judge": (JUDGE, ["rubric", "question", "picture"]),
    "weighted": (
        {
            "type": "weighted",
            "graders": {"a": {"type": "answer"}, "b": {"type": "number", "reference": "{{ item.size }}"}},
            "weights": {"a": 1, "b": 1},
        },
        ["gt_answer", "size"],
    ),
    "multi": (
        {"type": "multi", "graders": {"a": {"type": "choice"}}, "calculate_output": "a"},
        ["gt_answer"],
    ),
    "json_schema": ({"type": "json_schema", "input": "{{ item.before }}" + OUTPUT, "json_schema": {}}, ["before"]),
    "format": ({"type": "format", "pattern": "x"}, []),
    "python": ({"type": "python", "source": "def grade(sample, item): return item['{{ item.x }}']"}, []),
}


def parse(config: dict[str, Json]) -> AnyGrader:
    grader: AnyGrader = TypeAdapter(AnyGrader).validate_python(config)
    return grader


def row(number: int, item: dict[str, Json]) -> Example:
    return Example(id=str(number), messages=(), item=item, place=f"d.jsonl line {number}")


@pytest.mark.parametrize("name", GRADERS)
def test_every_field_that_a_grader_reads_is_missed_where_it_is_missing(name: str) -> None:
    config, fields = GRADERS[name]
    look = row_faults(parse(config))
    complete: dict[str, Json] = dict.fromkeys(fields, CASES)
    assert look(row(1, {**complete, "other": "x"})) is None
    for field in fields:
        fault = look(row(2, {other: CASES for other in fields if other != field}))
        assert fault is not None
        assert fault.place == "d.jsonl line 2"
        assert field in fault.reason


def test_a_step_into_a_field_is_looked_at() -> None:
    grader: dict[str, Json] = {"type": "number", "reference": "{{ item.answers[1].value }}"}
    look = row_faults(parse(grader))
    assert look(row(1, {"answers": [{}, {"value": 3}]})) is None
    fault = look(row(2, {"answers": [{}, {}]}))
    assert fault is not None
    assert "item.answers[1].value does not exist" in fault.reason


def test_the_first_faults_are_told_and_the_others_counted() -> None:
    faults = [RowFault(place=f"line {number}", reason="broken") for number in range(8)]
    found = collect_faults([None, *faults, None])
    assert (found.rows, found.count, found.share) == (10, 8, 0.8)
    assert found.describe().splitlines() == [
        *(f"line {number}: broken" for number in range(SHOWN_ROWS)),
        "... and 3 more",
    ]


def test_no_rows_have_no_faults() -> None:
    assert (collect_faults([]).share, collect_faults([]).describe()) == (0.0, "")


CODE: dict[str, Json] = {"type": "code", "tests": "reward_model.ground_truth"}
SCHEMA: dict[str, Json] = {"type": "json_schema", "json_schema": "{{ item.schema }}"}


@pytest.mark.parametrize(
    ("grader", "item", "reason"),
    [
        (CODE, {"reward_model": {"ground_truth": CASES}}, None),
        (CODE, {"reward_model": f'{{"ground_truth": {CASES}}}'}, None),
        (CODE, {"reward_model.ground_truth": CASES}, None),
        (CODE, {"reward_model": {"style": "rule"}}, "item.reward_model.ground_truth does not exist"),
        (CODE, {"reward_model": {"ground_truth": "assert add(1, 2) == 3"}}, "it is not JSON"),
        (CODE, {"reward_model": {"ground_truth": {"inputs": ["1"], "outputs": []}}}, "it has 1 inputs and 0 outputs"),
        (SCHEMA, {"schema": {"type": "object"}}, None),
        (SCHEMA, {"schema": '{"name": "x", "strict": true, "schema": {"type": "object"}}'}, None),
        (SCHEMA, {"schema": {"type": "objct"}}, "'objct' is not valid"),
        (SCHEMA, {"schema": {"title": "Anything"}}, "constrains nothing"),
        (SCHEMA, {"schema": {"type": "string", "nullable": True}}, "`nullable`"),
        (SCHEMA, {"schema": "an invoice"}, "not a JSON Schema"),
    ],
)
def test_what_a_grader_makes_of_a_row_is_tried_without_an_answer(
    grader: dict[str, Json], item: dict[str, Json], reason: str | None
) -> None:
    weighted: dict[str, Json] = {"type": "weighted", "graders": {"a": grader}, "weights": {"a": 1}}
    for config in (grader, weighted):
        fault = row_faults(parse(config))(row(3, item))
        assert (fault is None) == (reason is None)
        assert reason is None or (fault is not None and reason in fault.reason)
