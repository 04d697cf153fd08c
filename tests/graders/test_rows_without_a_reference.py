"""A row without a right answer is the row's fault in every grader that compares with one."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from verifine.config.graders import AnyGrader
from verifine.graders import build_grader
from verifine.graders.probes import find_references
from verifine.graders.row_faults import find_row_fault
from verifine.types import Grade, GradeFault, Json, Sample

CHECK: dict[str, Json] = {
    "type": "string_check",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.gt_answer }}",
    "operation": "eq",
}
GRADERS: dict[str, dict[str, Json]] = {
    "exact": {"type": "answer"},
    "number in tags": {"type": "answer", "compare": "number"},
    "math": {"type": "math", "answer_in": "any"},
    "number": {"type": "number"},
    "choice": {"type": "choice", "choices": ["null", "A"]},
    "equal": CHECK,
    "not equal": {**CHECK, "operation": "ne"},
    "within": {**CHECK, "operation": "like"},
    "alike": {
        "type": "text_similarity",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.gt_answer }}",
        "evaluation_metric": "rouge_l",
    },
}
ANSWERS = ("null", "<answer>null</answer>", r"\boxed{null}", "<answer></answer>", "", "None")


def parse(config: dict[str, Json]) -> AnyGrader:
    grader: AnyGrader = TypeAdapter(AnyGrader).validate_python(config)
    return grader


def grades(config: dict[str, Json], item: dict[str, Json], *texts: str) -> list[Grade]:
    grader = build_grader(parse(config))
    try:
        return grader.grade([Sample(output_text=text, item=item) for text in texts])
    finally:
        grader.close()


@pytest.mark.parametrize("name", GRADERS)
@pytest.mark.parametrize(("reference", "fault"), [(None, "item.gt_answer is null"), ("", "empty"), (" \n", "empty")])
def test_no_answer_to_it_is_scored_and_the_row_is_told_before_training(name: str, reference: Json, fault: str) -> None:
    item = {"gt_answer": reference}
    for grade in grades(GRADERS[name], item, *ANSWERS):
        assert grade.score is None
        assert grade.faults == {GradeFault.INVALID_VARIABLE}
        assert fault in str(grade.reason)
    assert fault in str(find_row_fault(parse(GRADERS[name]), item))
    assert find_references(parse(GRADERS[name]).traits, item) == []


@pytest.mark.parametrize("name", ["exact", "math", "choice", "equal", "within"])
def test_the_word_null_is_a_right_answer_like_any_other(name: str) -> None:
    text = "<answer>null</answer>" if name in ("exact", "math") else "null"
    right, wrong = grades(GRADERS[name], {"gt_answer": "null"}, text, text.replace("null", "A"))
    assert (right.score, (wrong.score or 0.0) < 1) == (1.0, True)
    assert find_row_fault(parse(GRADERS[name]), {"gt_answer": "null"}) is None


def test_a_null_among_other_texts_of_a_reference_is_missed_as_well() -> None:
    config: dict[str, Json] = {**CHECK, "reference": "{{ item.first }} {{ item.last }}"}
    complete: dict[str, Json] = {"first": "Ada", "last": ""}
    assert [grade.score for grade in grades(config, complete, "Ada ", "Ada")] == [1.0, 0.0]
    (grade,) = grades(config, {**complete, "last": None}, "Ada null")
    assert (grade.score, "item.last is null" in str(grade.reason)) == (None, True)


def test_null_in_the_answer_and_around_it_is_text() -> None:
    """The answer's null is the answer's fault, and an input is no reference."""
    config: dict[str, Json] = {**CHECK, "input": "{{ item.unit }}", "reference": "{{ sample.output_json.unit }}"}
    assert [grade.score for grade in grades(config, {"unit": None}, '{"unit": null}', '{"unit": "m"}')] == [1.0, 0.0]
    assert find_row_fault(parse(config), {"unit": None}) is None


def test_an_empty_text_in_the_grader_itself_is_what_its_author_wants() -> None:
    config: dict[str, Json] = {**CHECK, "reference": ""}
    assert [grade.score for grade in grades(config, {}, "", "Paris")] == [1.0, 0.0]
    assert find_row_fault(parse(config), {}) is None
