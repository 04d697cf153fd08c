from __future__ import annotations

import typing
from dataclasses import MISSING, fields
from typing import Literal

import pytest
from pydantic import TypeAdapter

from verifine.config.graders import CALLABLE_TRAITS, AnyGrader, GraderTraits, LabelModelGraderConfig
from verifine.config.graders.base import BaseGraderConfig
from verifine.types import Json

OUTPUT, GT = "{{ sample.output_text }}", "{{ item.gt_answer }}"
MESSAGES: Json = [{"role": "user", "content": OUTPUT}]
ANSWER: dict[str, Json] = {"type": "answer"}
FORM: dict[str, Json] = {"type": "format", "template": "<answer>...</answer>"}
PATTERN: dict[str, Json] = {"type": "format", "pattern": "[0-9]+ apples"}
CODE: dict[str, Json] = {"type": "python", "source": "def grade(sample, item): return 1.0"}
JUDGE: dict[str, Json] = {"type": "score_model", "model": "m", "input": MESSAGES}


def check(operation: str, text: str = OUTPUT) -> dict[str, Json]:
    return {"type": "string_check", "input": text, "reference": GT, "operation": operation}


def similar(metric: str) -> dict[str, Json]:
    return {"type": "text_similarity", "input": OUTPUT, "reference": GT, "evaluation_metric": metric}


def both(*graders: dict[str, Json]) -> dict[str, Json]:
    named: Json = {f"g{index}": grader for index, grader in enumerate(graders)}
    weights: Json = {f"g{index}": 1.0 for index in range(len(graders))}
    return {"type": "weighted", "graders": named, "weights": weights}


def multi(*graders: dict[str, Json]) -> dict[str, Json]:
    named: Json = {f"g{index}": grader for index, grader in enumerate(graders)}
    return {"type": "multi", "graders": named, "calculate_output": " + ".join(f"g{i}" for i in range(len(graders)))}


def parse(config: dict[str, Json]) -> AnyGrader:
    grader: AnyGrader = TypeAdapter(AnyGrader).validate_python(config)
    return grader


@pytest.mark.parametrize(
    ("config", "requests"),
    [
        (ANSWER, 0),
        (CODE, 0),
        (JUDGE, 1),
        ({"type": "endpoint", "url": "http://localhost"}, 1),
        (similar("cosine"), 1),
        (similar("bleu"), 0),
        (multi(JUDGE, ANSWER, JUDGE), 2),
    ],
)
def test_requests_are_those_to_other_machines(config: dict[str, Json], requests: int) -> None:
    assert parse(config).traits.requests_per_answer == requests


def test_a_label_model_asks_once() -> None:
    label = LabelModelGraderConfig(
        type="label_model", model="m", input=[{"role": "user", "content": OUTPUT}], labels=("a",), passing_labels=("a",)
    )
    assert label.traits.requests_per_answer == 1
    assert CALLABLE_TRAITS.requests_per_answer == 0


@pytest.mark.parametrize(
    ("config", "is_free"),
    [
        (ANSWER, True),
        (check("eq"), True),
        (FORM, True),
        (CODE, False),
        (similar("bleu"), False),
        (both(ANSWER, FORM), True),
        (both(ANSWER, CODE), False),
    ],
)
def test_only_graders_that_just_compare_are_tried_on_every_row(config: dict[str, Json], is_free: bool) -> None:
    assert parse(config).traits.is_cheap == is_free
    assert not CALLABLE_TRAITS.is_cheap


@pytest.mark.parametrize(
    ("config", "must_know"),
    [
        (ANSWER, True),
        ({"type": "answer", "compare": "countdown"}, False),
        (check("eq"), True),
        (check("ilike"), True),
        (check("ne"), False),
        (check("eq", "{{ sample.output_json.answer }}"), False),
        (check("eq", "{{ item.other }}"), False),
        (check("eq", f"The answer is {OUTPUT}"), False),
        (check("eq", f"{{{{ item.id }}}} {OUTPUT}"), False),
        (check("eq", "{{sample.output_text}}"), True),
        (similar("fuzzy_match"), True),
        ({"type": "math"}, True),
        ({"type": "choice"}, True),
        (FORM, False),
        (CODE, False),
        (JUDGE, False),
        (both(ANSWER, FORM), True),
        (both(FORM), False),
        (both(ANSWER, CODE), False),
        (both(ANSWER, check("ne")), False),
        (both(ANSWER, PATTERN), False),
        ({**both(ANSWER, FORM), "weights": {"g0": 1.0, "g1": -0.5}}, False),
        ({**both(ANSWER, FORM), "weights": {"g0": 1.0, "g1": 0.0}}, True),
        (multi(ANSWER, CODE), False),
        (multi(ANSWER), False),
        (multi(ANSWER, FORM), False),
    ],
)
def test_only_graders_that_compare_the_text_must_know_a_right_answer(config: dict[str, Json], must_know: bool) -> None:
    assert parse(config).traits.must_recognise_right == must_know
    assert not CALLABLE_TRAITS.must_recognise_right


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (ANSWER, ""),
        (CODE, ""),
        (FORM, "it looks at the form alone"),
        ({"type": "json_schema", "json_schema": {}}, "it looks at the form alone"),
        ({"type": "answer", "compare": "countdown"}, "not an expression"),
        (check("ne"), "not the reference"),
        (both(FORM, ANSWER), ""),
        (both(FORM, FORM), "it looks at the form alone"),
    ],
)
def test_what_cannot_be_answered_right_from_a_row_says_why(config: dict[str, Json], reason: str) -> None:
    found = parse(config).traits.why_untried
    assert reason in found
    assert bool(found) == bool(reason)
    assert CALLABLE_TRAITS.why_untried == ""


def test_every_grader_type_states_every_trait() -> None:
    assert all(field.default is MISSING and field.default_factory is MISSING for field in fields(GraderTraits))
    for grader in typing.get_args(AnyGrader):
        assert issubclass(grader, BaseGraderConfig)


def test_a_grader_type_without_traits_cannot_be_used() -> None:
    class Silent(BaseGraderConfig):
        type: Literal["silent"]

    with pytest.raises(TypeError, match="traits"):
        Silent.model_validate({"type": "silent"})


@pytest.mark.parametrize("grader", typing.get_args(AnyGrader))
def test_a_grader_type_has_a_module_of_its_name(grader: type[BaseGraderConfig]) -> None:
    (name,) = typing.get_args(grader.model_fields["type"].annotation)
    assert grader.__module__ == f"verifine.config.graders.{name}"
    assert grader.__name__ == "".join(part.capitalize() for part in name.split("_")) + "GraderConfig"
