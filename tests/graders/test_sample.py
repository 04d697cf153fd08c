from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config.graders.template import SAMPLE_FIELDS
from verifine.graders.sample import sample_fields
from verifine.types import Json, Sample


def fields(text: str) -> dict[str, Json]:
    return sample_fields(Sample(output_text=text, item={}))


def call(name: str, arguments: str) -> Json:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_plain_answer_is_a_choice_without_tool_calls() -> None:
    assert fields("hello") == {
        "output_text": "hello",
        "output_json": None,
        "output_tools": [],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}}],
        "opened_text": "",
        "reasoning_text": "",
    }


def test_the_fields_are_those_that_templates_may_name() -> None:
    assert tuple(fields("")) == SAMPLE_FIELDS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (" [1]\n", [1]),
        ('"x"', "x"),
        ("true", True),
        ('{"a": NaN}', None),
        ("1e999", None),
        ('{"a": 1, "a": 2}', None),
        ("[" * 100_000, None),
        ("9" * 5000, None),
        ('```json\n{"a": 1}\n```', None),
        ("", None),
    ],
)
def test_output_json_is_the_answer_if_it_is_strict_json(text: str, value: Json) -> None:
    assert fields(text)["output_json"] == value


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', [call("add", '{"a": 1}')]),
        ('Sure.\n<tool_call>\n{"name": "add", "arguments": "{}"}\n</tool_call>', [call("add", "{}")]),
        (
            '<tool_call>{"name": "a"}</tool_call> <tool_call>{"name": "b"}</tool_call>',
            [call("a", "{}"), call("b", "{}")],
        ),
        ('<tool_call>{"name": "add"}', []),
        ('<tool_call>{"name": 3}</tool_call>', []),
        ("<tool_call>add</tool_call>", []),
        ("<tool_call></tool_call>", []),
        ('{"name": "add"}', []),
    ],
)
def test_tool_calls_have_openais_form(text: str, calls: list[Json]) -> None:
    seen = fields(text)
    assert seen["output_tools"] == calls
    message: dict[str, Json] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = calls
    assert seen["choices"] == [{"index": 0, "message": message}]


@given(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_what_was_written_as_json_is_read_back(text: str, whole: int, real: float) -> None:
    value: Json = {"text": text, "whole": whole, "real": real}
    assert fields(json.dumps(value))["output_json"] == value
