from __future__ import annotations

import json
from typing import Any

import pytest

from verifine.wire.api_error import ApiError
from verifine.wire.completion_parsing import parse_request
from verifine.wire.completion_requests import ChatRequest, CompletionRequest, NamedToolChoice, SchemaFormat

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
COMPLETION: dict[str, Any] = {"model": "m", "prompt": "Hi"}


def refusal(fields: dict[str, Any] | bytes, schema: Any = ChatRequest) -> tuple[str | None, str | None]:
    """Param and code of the error."""
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    with pytest.raises(ApiError) as caught:
        parse_request(body, schema)
    assert caught.value.status == 400
    assert caught.value.body.type == "invalid_request_error"
    return caught.value.body.param, caught.value.body.code


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", "1"),
        ("temperature", True),
        ("top_p", -0.1),
        ("top_p", 1.5),
        ("n", 0),
        ("n", 1.5),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", [""]),
        ("stop", 5),
        ("seed", 2**63),
        ("max_tokens", 0),
        ("max_completion_tokens", -1),
        ("top_logprobs", 21),
        ("logprobs", 3),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -2.5),
        ("response_format", {"type": "xml"}),
        ("tool_choice", "always"),
        ("messages", "Hi"),
        ("model", 7),
        ("stream", "yes"),
        ("modalities", ["audio"]),
        ("stream_options", {"include_usage": True}),
    ],
)
def test_a_value_that_is_out_of_range_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    assert refusal(CHAT | {field: value}) == (field, "invalid_value")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": "m"}, "messages", "missing_required_parameter"),
        ({"messages": []}, "model", "missing_required_parameter"),
        (CHAT | {"temprature": 1}, "temprature", "unknown_parameter"),
        (CHAT | {"stream": True, "stream_options": {"usage": True}}, "stream_options.usage", "unknown_parameter"),
        (
            CHAT | {"response_format": {"type": "json_schema", "json_schema": {}}},
            "response_format.json_schema.name",
            "missing_required_parameter",
        ),
        (CHAT | {"audio": {"voice": "alloy"}}, "audio", "unsupported_parameter"),
        (CHAT | {"functions": []}, "functions", "unsupported_parameter"),
        (CHAT | {"top_logprobs": 2}, "top_logprobs", "invalid_value"),
        (CHAT | {"logit_bias": {"5": 101}}, "logit_bias.5", "invalid_value"),
        (CHAT | {"logit_bias": {"the": 1}}, "logit_bias.the", "invalid_value"),
        (CHAT | {"max_tokens": 2, "max_completion_tokens": 3}, "max_tokens", "invalid_value"),
    ],
)
def test_a_missing_an_unknown_and_an_unsupported_field_have_codes_of_their_own(
    fields: dict[str, Any], param: str, code: str
) -> None:
    assert refusal(fields) == (param, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'"Hi"',
        b'{"model": NaN}',
        b"\xff",
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"model": "\\ud800"}',
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    assert refusal(body) == (None, "invalid_json")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": {}}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
    ],
)
def test_a_completion_has_limits_of_its_own(fields: dict[str, Any], param: str) -> None:
    assert refusal(COMPLETION | fields, CompletionRequest) == (param, "invalid_value")


def test_null_stands_for_a_field_that_is_not_given() -> None:
    fields = CHAT | {"temperature": None, "stop": None, "tools": None, "seed": None, "logit_bias": None}
    assert parse_request(json.dumps(fields).encode(), ChatRequest) == ChatRequest(**CHAT)


def test_every_field_is_read() -> None:
    fields = CHAT | {
        "temperature": 0,
        "stop": "END",
        "max_completion_tokens": 7,
        "logit_bias": {"5": -3},
        "response_format": {"type": "json_schema", "json_schema": {"name": "sum", "schema": {"type": "object"}}},
        "tool_choice": {"type": "function", "function": {"name": "add"}},
        "store": True,
        "metadata": {"team": "x"},
        "user": "u",
    }
    request = parse_request(json.dumps(fields).encode(), ChatRequest)
    assert (request.temperature, request.stops, request.longest_answer) == (0, ("END",), 7)
    assert request.logit_bias == {"5": -3}
    assert isinstance(request.response_format, SchemaFormat)
    assert request.response_format.json_schema.schema_ == {"type": "object"}
    assert isinstance(request.tool_choice, NamedToolChoice)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("Hi", ["Hi"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]]), ([], [])],
)
def test_a_completion_takes_one_prompt_or_several_as_text_or_tokens(prompt: object, prompts: object) -> None:
    assert parse_request(json.dumps(COMPLETION | {"prompt": prompt}).encode(), CompletionRequest).prompts == prompts
