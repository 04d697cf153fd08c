"""JSON, JSON of a schema and forced calls, from models with random weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import jsonschema
import openai
import pytest
import torch
from pydantic import BaseModel
from tests.serving.conftest import TOOL_LIMITS

from verifine.rollout.scheduler import Constraint
from verifine.serving import ServedModel
from verifine.serving.answer_form import AnswerForm
from verifine.serving.grammar import CallForm
from verifine.testing.servers import running_server
from verifine.wire.api_error import ApiError

ASK: Any = [{"role": "user", "content": "Hi"}]


def closed(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object with exactly these fields."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


SCHEMAS: list[dict[str, Any]] = [
    closed(a={"type": "integer", "minimum": 0, "maximum": 99}),
    {"enum": ["red", "green", 3, None]},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    closed(s={"type": "string", "maxLength": 5}, n={"type": "null"}),
    {"anyOf": [{"const": "x"}, {"type": "string", "pattern": "^[ab]{2}$"}]},
]

ADD: dict[str, Any] = {
    "type": "function",
    "function": {"name": "add", "parameters": closed(a={"type": "integer", "minimum": 0, "maximum": 9})},
}
LOG: dict[str, Any] = {"type": "function", "function": {"name": "log"}}
TOOLS: Any = [ADD, LOG]


@pytest.fixture(scope="module")
def client(tool_model: ServedModel) -> Iterator[openai.OpenAI]:
    with (
        running_server(tool_model, limits=TOOL_LIMITS) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("temperature", [0, 1])
def test_an_answer_that_ends_is_json_of_the_schema(
    client: openai.OpenAI, schema: dict[str, Any], temperature: int
) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    done = client.chat.completions.create(
        model="tools", messages=ASK, response_format=form, n=4, seed=1, temperature=temperature
    )
    for choice in done.choices:
        assert choice.finish_reason == "stop"
        jsonschema.validate(json.loads(choice.message.content or ""), schema)


def test_the_clients_own_parser_reads_a_pydantic_model(client: openai.OpenAI) -> None:
    class Colour(BaseModel):
        name: Literal["red", "green"]
        is_warm: bool

    done = client.chat.completions.parse(model="tools", messages=ASK, response_format=Colour, seed=3)
    assert isinstance(done.choices[0].message.parsed, Colour)


def test_json_mode_begins_an_object(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tools", messages=ASK, response_format={"type": "json_object"}, seed=4, max_tokens=30
    )
    assert (done.choices[0].message.content or "").startswith("{")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_forced_call_names_a_tool_and_has_its_arguments(client: openai.OpenAI, choice: Any, is_stream: bool) -> None:
    settings: dict[str, Any] = {
        "model": "tools", "messages": ASK, "tools": TOOLS, "tool_choice": choice, "seed": 5,
        "parallel_tool_calls": False,
    }  # fmt: skip
    if is_stream:
        with client.chat.completions.stream(**settings) as stream:
            message = stream.get_final_completion().choices[0]
    else:
        message = client.chat.completions.create(**settings).choices[0]
    assert message.finish_reason == "tool_calls"
    assert not message.message.content
    (call,) = message.message.tool_calls or []
    assert call.type == "function"
    assert call.id.startswith("call_")
    named = {"add": ADD, "log": LOG}[call.function.name]["function"]
    jsonschema.validate(json.loads(call.function.arguments), named.get("parameters", {}))
    assert choice == "required" or call.function.name == "add"


def test_parameters_that_refer_to_definitions_of_their_own_are_followed(client: openai.OpenAI) -> None:
    class Point(BaseModel):
        x: Literal["left", "right"]

    class Move(BaseModel):
        start: Point
        end: Point

    tools: Any = [LOG, openai.pydantic_function_tool(Move, name="move")]
    assert "$defs" in json.dumps(tools)
    done = client.chat.completions.create(
        model="tools", messages=ASK, tools=tools, seed=2, parallel_tool_calls=False,
        tool_choice={"type": "function", "function": {"name": "move"}},
    )  # fmt: skip
    (call,) = done.choices[0].message.tool_calls or []
    assert call.type == "function"
    Move.model_validate_json(call.function.arguments)


def test_several_calls_may_be_forced_in_parallel(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tools", messages=ASK, tools=TOOLS, tool_choice="required", n=8, seed=1, temperature=2
    )
    counts = {len(choice.message.tool_calls or []) for choice in done.choices if choice.finish_reason == "tool_calls"}
    assert counts <= set(range(1, 9))
    assert max(counts) > 1


def test_a_conversation_with_a_result_goes_on(client: openai.OpenAI) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    turns: Any = [*ASK, {"role": "assistant", "content": None, "tool_calls": [call]},
                  {"role": "tool", "tool_call_id": "c1", "content": "1"}]  # fmt: skip
    done = client.chat.completions.create(model="tools", messages=turns, tools=TOOLS, tool_choice="none", max_tokens=5)
    assert done.choices[0].message.tool_calls is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "sub"}}}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "required", "response_format": {"type": "json_object"}}, "tool_choice"),
        (
            {
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "not": {}}}}],
                "tool_choice": "required",
            },
            "tools",
        ),
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_forced_is_refused(client: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tools", messages=ASK, **fields)
    assert (caught.value.param, caught.value.code) == (param, "invalid_value")


def test_a_schema_that_refers_to_another_place_is_not_fetched(tool_model: ServedModel) -> None:
    with pytest.raises(ApiError):
        tool_model.grammars.compile_schema({"$ref": "http://127.0.0.1:9/schema.json"})


LOOP: dict[str, Any] = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "#"}, "no answer follows it"),
        (LOOP, "no answer follows it"),
        ({"const": "x" * 70_000}, "70013 bytes"),
        ({"anyOf": [{"multipleOf": 9_973}, {"items": [{"multipleOf": 20.001}]}]}, "add up to 29974"),
        ({"type": "integer", "multipleOf": 999_983}, "add up to 999983"),
        (closed(default={"type": "integer", "multipleOf": 999_983}), "add up to 999983"),
        ({"$ref": "#/$defs/enum", "$defs": {"enum": {"type": "integer", "multipleOf": 999_983}}}, "add up to 999983"),
        (closed(a={"$ref": "#/%65xamples/0"}) | {"examples": [{"multipleOf": 999_983}]}, "add up to 999983"),
        ({"$ref": "#/x/default", "x": {"default": {"multipleOf": 999_983}}}, "add up to 999983"),
        ({"type": "integer", "allOf": [{"multipleOf": 9_973}, {"multipleOf": 9_967}]}, "add up to 99420831"),
        ({"multipleOf": 331, "$ref": "#/$defs/a", "$defs": {"a": {"multipleOf": 0.311}}}, "add up to 103583"),
        ({"type": "integer", "multipleOf": int("9" * 4_300)}, "add up to 1000000000000"),
        ({"type": "integer", "multipleOf": 0}, "multiple"),
        ({"type": "integer", "multipleOf": True}, "multipleOf"),
        ({"type": "integer", "minimum": True}, "minimum"),
        ({"x-guidance": {"lenient": True}, "not": {}}, "not"),
    ],
)
def test_a_schema_that_takes_too_long_or_has_no_answer_is_refused(
    tool_model: ServedModel, schema: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ApiError, match=reason) as caught:
        tool_model.grammars.compile_schema(schema)
    assert caught.value.body.param == "response_format"


def test_what_only_looks_like_a_costly_schema_is_none(tool_model: ServedModel) -> None:
    tool_model.grammars.compile_schema({"enum": [{"multipleOf": 999_983}, 1]})
    tool_model.grammars.compile_schema(closed(multipleOf={"type": "number", "multipleOf": 0.01}))
    tool_model.grammars.compile_schema({"type": "integer", "default": {"multipleOf": 999_983}})
    tool_model.grammars.compile_schema({"allOf": [{"multipleOf": 4_000}, {"multipleOf": 0.25}, {"type": "number"}]})
    tool_model.grammars.compile_schema({"type": "object", "properties": {f"p{n}": {} for n in range(1500)}})


def may_start(served: ServedModel, form: AnswerForm, text: str) -> bool:
    """Whether an answer may begin with the text."""
    matcher, token_ids = form.matcher.deep_copy(), served.model.tokenizer(text).input_ids
    return bool(matcher.try_consume_tokens(token_ids) == len(token_ids))


DIGIT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 9}


@pytest.mark.parametrize("name", ["const", "enum", "default", "examples", "properties", "$ref", "$defs", "$id"])
@pytest.mark.parametrize("at", ["$defs", "definitions"])
def test_an_argument_may_have_the_name_of_a_keyword_and_a_reference(
    tool_model: ServedModel, name: str, at: str
) -> None:
    parameters = closed(**{name: {"$ref": f"#/{at}/{name}"}}) | {at: {name: {"$ref": f"#/{at}/more"}, "more": DIGIT}}
    call = f'{{"name": "f", "parameters": {{"{name}": '
    assert_calls(tool_model, parameters, [f"{call}7}}"], [f"{call}17", f"{call}tr"])


def test_data_that_looks_like_a_reference_stays_as_it_is(tool_model: ServedModel) -> None:
    parameters = closed(a={"const": {"$ref": "#/x"}}, b={"enum": [{"$ref": "#"}]})
    call = '{"name": "f", "parameters": {"a": {"$ref": "#/x"}, "b": {"$ref": "#"}}}'
    assert_calls(tool_model, parameters, [call], [])


@pytest.mark.parametrize(
    ("reference", "more"), [("#/$defs/a", {"$id": "https://example.com/tool"}), ("#digit", {}), ("#/$defs/a", {})]
)
def test_a_reference_is_followed_from_where_its_schema_begins(
    tool_model: ServedModel, reference: str, more: dict[str, Any]
) -> None:
    parameters = closed(x={"$ref": reference}) | {"$defs": {"a": {"$anchor": "digit", **DIGIT}}} | more
    call = '{"name": "f", "parameters": {"x": '
    assert_calls(tool_model, parameters, [f"{call}7}}"], [f"{call}17"])


@pytest.mark.parametrize("label", [{"$id": "https://example.com/tool"}, {"$anchor": "digit"}])
def test_tools_whose_references_would_be_mixed_up_are_refused(tool_model: ServedModel, label: dict[str, str]) -> None:
    parameters = closed(x={"$ref": "#/$defs/a"}) | {"$defs": {"a": DIGIT}} | label
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": parameters}} for name in "fg"]
    with pytest.raises(ApiError, match="two tools") as caught:
        tool_model.grammars.compile_calls(CallForm(tools=tools, is_tagged=False, several=False))
    assert caught.value.body.param == "tools"


def assert_calls(
    served: ServedModel, parameters: dict[str, Any], may_begin: Sequence[str], may_not: Sequence[str]
) -> None:
    tools = [ADD, {"type": "function", "function": {"name": "f", "parameters": parameters}}]
    form = served.grammars.compile_calls(CallForm(tools=tools, is_tagged=False, several=False))
    assert [text for text in (*may_begin, *may_not) if may_start(served, form, text)] == [*may_begin]


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_that_cannot_be_finished_in_its_form_is_an_error(client: openai.OpenAI, is_stream: bool) -> None:
    schema = {**closed(x={"$ref": "#/$defs/a"}), "$defs": LOOP["$defs"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.APIError) as caught:
        list(client.chat.completions.create(model="tools", messages=ASK, response_format=form, stream=is_stream))
    assert (caught.value.param, caught.value.code) == ("response_format", "invalid_value")


def allowed(constraint: Constraint) -> list[int]:
    tokens = constraint.allowed()
    assert tokens is not None
    return torch.nonzero(tokens).flatten().tolist()


def test_a_grammar_that_is_at_its_end_leaves_only_the_end_of_the_turn(tool_model: ServedModel) -> None:
    constraint = tool_model.grammars.compile_schema({"const": 7}).begin()
    (seven,) = tool_model.model.tokenizer("7").input_ids
    assert allowed(constraint) == [seven]
    branch = constraint.copy()
    constraint.accept(seven)
    assert allowed(constraint) == sorted(tool_model.model.stop_token_ids)
    assert allowed(branch) == [seven], "a copy goes its own way"
    branch.accept(5)
    assert allowed(branch) == sorted(tool_model.model.stop_token_ids)
