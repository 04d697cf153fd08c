"""The schema of graders: what each type accepts, what it refuses and how it says so, and OpenAI's own package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest
from openai import BaseModel as OpenAiModel
from openai.types import graders as openai_graders
from openai.types.graders import score_model_grader
from pydantic import TypeAdapter, ValidationError

from verifine.config.graders import (
    FORMAT_JUDGES,
    AnyGrader,
    GraderConfig,
    MultiGraderConfig,
    ScoreModelGraderConfig,
    WeightedGraderConfig,
)
from verifine.config.graders.format import tags_of
from verifine.config.problems import find_problems

ADAPTER: TypeAdapter[AnyGrader] = TypeAdapter(GraderConfig)

TEXTS = {"input": "{{ sample.output_text }}", "reference": "{{ item.gt_answer }}"}
CHAT = [{"role": "user", "content": "Grade this: {{ sample.output_text }}"}]
SOURCE = "def grade(sample, item):\n    return 1.0"

SINGLE: dict[str, dict[str, Any]] = {
    "string_check": {**TEXTS, "operation": "eq"},
    "text_similarity": {**TEXTS, "evaluation_metric": "rouge_l", "pass_threshold": 0.5},
    "python": {"source": SOURCE, "image_tag": "2025-05-08", "timeout_s": 2},
    "score_model": {"model": "judge", "input": CHAT, "range": [0, 10], "sampling_params": {"temperature": 0}},
    "label_model": {"model": "judge", "input": CHAT, "labels": ["good", "bad"], "passing_labels": ["good"]},
    "answer": {"compare": "number", "tolerance": 0.1},
    "math": {"answer_in": "boxed"},
    "code": {"tests": "cases", "scoring": "share"},
    "number": {"take": "whole", "relative_tolerance": 0.01},
    "choice": {"choices": ["yes", "no"], "format_weight": 0.1},
    "format": {"template": "<think>...</think> <answer>…</answer>"},
    "json_schema": {"json_schema": {"type": "object"}},
    "endpoint": {"url": "https://example.com/grade", "token_env": "TOKEN"},
}
COMBINED: dict[str, dict[str, Any]] = {
    "multi": {"graders": {"right": {"type": "answer"}}, "calculate_output": "2 * right"},
    "weighted": {"graders": {"right": {"type": "answer"}}, "weights": {"right": 1}},
}
FORMS = {name: {"type": name, **fields} for name, fields in (SINGLE | COMBINED).items()}


def problems_of(value: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(value)
    return [problem.text for problem in find_problems(caught.value, GraderConfig)]


def inside_multi(**graders: object) -> dict[str, object]:
    return {"type": "multi", "graders": graders, "calculate_output": " + ".join(graders)}


def test_the_forms_are_those_of_every_type() -> None:
    assert set(FORMS) == {get_args(schema.model_fields["type"].annotation)[0] for schema in get_args(AnyGrader)}


@pytest.mark.parametrize("name", sorted(set(FORMS) - {"label_model"}))
def test_every_type_accepts_its_form_and_goes_to_json_and_back(name: str) -> None:
    grader = ADAPTER.validate_python(FORMS[name])
    assert grader.type == name
    assert grader.name == name
    assert ADAPTER.validate_json(ADAPTER.dump_json(grader)) == grader


@pytest.mark.parametrize("name", SINGLE)
def test_every_single_type_can_stand_in_a_combined_one(name: str) -> None:
    multi = ADAPTER.validate_python(inside_multi(part=FORMS[name]))
    assert isinstance(multi, MultiGraderConfig)
    assert multi.graders["part"].type == name
    weighted = ADAPTER.validate_python({"type": "weighted", "graders": {"part": FORMS[name]}, "weights": {"part": 1}})
    assert isinstance(weighted, WeightedGraderConfig)
    assert weighted.graders["part"] == multi.graders["part"]


@pytest.mark.parametrize("name", sorted(set(FORMS) - {"label_model"}))
def test_an_unknown_field_is_refused_by_its_name(name: str) -> None:
    (problem,) = problems_of({**FORMS[name], "surprise": 1})
    assert problem.startswith("`surprise` is unknown; ")


@pytest.mark.parametrize("name", SINGLE)
def test_an_unknown_field_inside_another_grader_is_refused_by_its_path(name: str) -> None:
    (problem,) = problems_of(inside_multi(part={**FORMS[name], "surprise": 1}))
    assert problem.startswith("`graders.part.surprise` is unknown; ")


def test_an_unknown_field_in_a_judges_message_is_refused_by_its_path() -> None:
    part = {"type": "input_text", "text": "a", "extra": 1}
    (problem,) = problems_of({**FORMS["score_model"], "input": [{"role": "user", "content": [part]}]})
    assert problem.startswith("`input[0].content[0].extra` is unknown; ")


def test_a_label_model_stands_inside_others_only() -> None:
    (problem,) = problems_of(FORMS["label_model"])
    assert problem == "`type` label_model cannot stand alone; put it inside a multi grader"


@pytest.mark.parametrize("name", COMBINED)
def test_combined_graders_stand_at_the_top_only(name: str) -> None:
    (problem,) = problems_of(inside_multi(part=FORMS[name]))
    assert problem.startswith(f"`graders.part.type` is '{name}', but must be one of 'string_check', 'text_similarity',")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"type": "string_check", **TEXTS, "operation": "neq"},
            "`operation` is 'neq', but must be 'eq', 'ne', 'like' or",
        ),
        (
            {"type": "string_check", **TEXTS, "operation": "eq", "input": "{{ items.x }}"},
            "`input`: template: {{ items.x",
        ),
        ({"type": "text_similarity", **TEXTS, "evaluation_metric": "rouge_6"}, "`evaluation_metric` is 'rouge_6', but"),
        ({"type": "python", "source": "#" * (256 << 10)}, "`source` has 262144 bytes; it must have fewer than 262144"),
        ({**FORMS["score_model"], "range": [1, 0]}, "`range` is [1.0, 0.0], but must be [lowest, highest]"),
        ({**FORMS["score_model"], "input": []}, "`input` is [], but must be a list of at least 1"),
        (
            inside_multi(a={**FORMS["label_model"], "passing_labels": ["best"]}),
            "`graders.a`: `passing_labels` names best",
        ),
        ({"type": "number", "tolerance": -1}, "`tolerance` is -1, but must be at least 0."),
        ({"type": "choice", "choices": ["yes"]}, "`choices` is ['yes'], but must be a list of at least 2"),
        ({"type": "choice", "choices": ["a", "A"]}, "`choices` has a duplicate; upper and lower case are the same"),
        ({"type": "format"}, "give either `pattern` (a regular expression) or `template` (tags with ... between them)"),
        ({"type": "format", "pattern": "a", "template": "<a>...</a>"}, "give either `pattern`"),
        ({"type": "format", "pattern": "("}, "`pattern` is not a regular expression: missing )"),
        ({"type": "format", "template": "<a>..</a>"}, "`template` is '<a>..</a>', but must be pairs of tags with ..."),
        ({"type": "json_schema"}, "`json_schema` is missing."),
        (
            {"type": "endpoint", "url": "ftp://example.com"},
            "`url` is 'ftp://example.com', but must be text that matches",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_what_should_stand_there(fields: Mapping[str, object], problem: str) -> None:
    (found,) = problems_of(fields)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("template", "tags"),
    [
        ("<a>...</a>", ("a",)),
        (" <think> ... </think>\n<answer>…</answer> ", ("think", "answer")),
        ("<a-b>...</a-b><a_b>...</a_b>", ("a-b", "a_b")),
        ("", ()),
        ("<a></a>", ()),
        ("<a>...</b>", ()),
        ("<a>...</a><a>...</a>", ()),
        ("<a>...</a> and <b>...</b>", ()),
        ("<1>...</1>", ()),
    ],
)
def test_tags_of_a_template(template: str, tags: tuple[str, ...]) -> None:
    assert tags_of(template) == tags


NAMED = [{"name": "a", **FORMS["answer"]}, {"name": "b", **FORMS["string_check"]}]


def test_a_list_of_graders_goes_by_their_names() -> None:
    listed = ADAPTER.validate_python({"type": "multi", "graders": NAMED, "calculate_output": "a + b"})
    named = ADAPTER.validate_python(inside_multi(a=NAMED[0], b=NAMED[1]))
    assert listed == named


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"graders": {}, "calculate_output": "1"}, "`graders` is empty; give it at least one grader"),
        ({"graders": [], "calculate_output": "1"}, "`graders` is empty"),
        ({"graders": [FORMS["answer"]], "calculate_output": "1"}, "`graders` is a list, so each grader in it needs a"),
        ({"graders": [NAMED[0], NAMED[0]], "calculate_output": "a"}, "`graders` has two graders with the name 'a'"),
        (
            {"graders": {"a b": NAMED[0]}, "calculate_output": "1"},
            "`graders` has the name 'a b', which cannot stand in a",
        ),
        ({"graders": {"min": NAMED[0]}, "calculate_output": "1"}, "`graders` has the name 'min', which cannot stand"),
        ({"graders": {"é": NAMED[0]}, "calculate_output": "1"}, "`graders` has the name 'é', which cannot stand in a"),
        (
            {"graders": {"a": NAMED[0]}, "calculate_output": "a +"},
            "`calculate_output`: column 4: the formula ends where",
        ),
        (
            {"graders": {"a": NAMED[0]}, "calculate_output": "c + a"},
            "`calculate_output` reads c, but the graders are a",
        ),
    ],
)
def test_a_formula_fits_its_graders(fields: Mapping[str, object], problem: str) -> None:
    (found,) = problems_of({"type": "multi", **fields})
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("grader", "judges"),
    [
        (FORMS["choice"], True),
        (FORMS["json_schema"], True),
        (FORMS["format"], True),
        (FORMS["number"], False),
        (FORMS["text_similarity"], False),
        (inside_multi(a=FORMS["number"], b=FORMS["choice"]), True),
        (inside_multi(a=FORMS["number"], b=FORMS["string_check"]), False),
    ],
)
def test_which_graders_judge_the_format(grader: object, judges: bool) -> None:
    assert ADAPTER.validate_python(grader).traits.judges_format is judges


@pytest.mark.parametrize("name", SINGLE)
def test_a_type_judges_the_format_where_its_graders_do(name: str) -> None:
    multi = ADAPTER.validate_python(inside_multi(part=FORMS[name]))
    assert multi.traits.judges_format is (name in FORMAT_JUDGES)


PARTS: list[object] = [
    "plain {{ item.question }}",
    {"type": "input_text", "text": "the question: {{ item.question }}"},
    {"type": "output_text", "text": "{{ sample.output_text }}"},
    {"type": "input_image", "image_url": "{{ item.image }}", "detail": "low"},
    {"type": "input_audio", "input_audio": {"data": "{{ item.sound }}", "format": "wav"}},
]
MESSAGES: list[object] = [
    {"role": "developer", "content": "Be strict."},
    {"role": "system", "content": PARTS[1], "type": "message"},
    {"role": "assistant", "content": PARTS[2]},
    *({"role": "user", "content": part} for part in PARTS),
    {"role": "user", "content": PARTS, "type": "message"},
]
SAMPLING = {
    "seed": 1,
    "temperature": 0.5,
    "top_p": 0.9,
    "max_completions_tokens": 100,
    "reasoning_effort": "low",
}
OPENAI: dict[str, tuple[type[OpenAiModel], dict[str, Any]]] = {
    "string_check": (openai_graders.StringCheckGrader, {**TEXTS, "operation": "ilike"}),
    "text_similarity": (openai_graders.TextSimilarityGrader, {**TEXTS, "evaluation_metric": "fuzzy_match"}),
    "python": (openai_graders.PythonGrader, {"source": SOURCE, "image_tag": "2025-05-08"}),
    "score_model": (
        openai_graders.ScoreModelGrader,
        {"model": "o4-mini", "input": MESSAGES, "range": [0.0, 5.0], "sampling_params": SAMPLING},
    ),
    "label_model": (
        openai_graders.LabelModelGrader,
        {"model": "o4-mini", "input": MESSAGES, "labels": ["good", "bad"], "passing_labels": ["good"]},
    ),
}


def openai_grader(name: str) -> OpenAiModel:
    """The grader as OpenAI's package builds and checks it."""
    schema, fields = OPENAI[name]
    return schema.model_validate({"type": name, "name": "part", **fields})


@pytest.mark.parametrize("name", sorted(set(OPENAI) - {"label_model"}))
def test_a_grader_of_openais_package_is_ours_and_goes_back_unchanged(name: str) -> None:
    theirs = openai_grader(name)
    ours = ADAPTER.validate_python(theirs.to_dict())
    returned = ours.model_dump(mode="json", exclude_unset=True)
    assert returned == theirs.to_dict()
    assert type(theirs).model_validate(returned) == theirs


def test_every_content_of_openais_messages_was_there() -> None:
    theirs = openai_grader("score_model")
    assert isinstance(theirs, score_model_grader.ScoreModelGrader)
    kinds = {type(message.content).__name__ for message in theirs.input}
    kinds |= {type(part).__name__ for part in theirs.input[-1].content}
    assert kinds == {
        "str",
        "list",
        "ResponseInputText",
        "InputContentOutputText",
        "InputContentInputImage",
        "ResponseInputAudio",
        "GraderInputItemOutputText",
        "GraderInputItemInputImage",
    }


@pytest.mark.parametrize("name", OPENAI)
def test_a_multi_grader_of_openais_package_holds_one_grader_which_goes_by_its_name(name: str) -> None:
    theirs = openai_graders.MultiGrader.model_validate(
        {"type": "multi", "name": "both", "graders": openai_grader(name).to_dict(), "calculate_output": "2 * part"}
    )
    ours = ADAPTER.validate_python(theirs.to_dict())
    returned = ours.model_dump(mode="json", exclude_unset=True)
    assert returned == {**theirs.to_dict(), "graders": {"part": openai_grader(name).to_dict()}}
    assert ADAPTER.validate_python(returned) == ours


def test_a_range_of_null_is_the_default_as_openais_types_allow() -> None:
    grader = ScoreModelGraderConfig.model_validate(
        {"type": "score_model", "model": "m", "input": [{"role": "user", "content": "x"}], "range": None}
    )
    assert grader.range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://me:hunter2@host/grade", "the address holds a password"),
        ("https://host/grade?key=hunter2", "the address has a query"),
        ("host/grade", "must be text that matches"),
    ],
)
def test_an_address_with_a_secret_in_it_is_refused_without_telling_it(url: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python({"type": "endpoint", "url": url})
    (problem,) = find_problems(caught.value, GraderConfig)
    assert reason in problem.text
    assert "hunter2" not in problem.text
