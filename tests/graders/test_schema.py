from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from verifine.errors import GraderError
from verifine.graders.schema import SchemaTimeoutError, SchemaValidator
from verifine.types import Json

TREE: Mapping[str, Json] = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}

HOSTILE = "^.*a.*a.*a.*a.*b"
"""Takes time that grows with the fifth power of the letters."""

SCHEMAS: list[dict[str, Json]] = [
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
    {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
    {
        "patternProperties": {"^a": {"type": "integer"}, "b$": {"minimum": 1}},
        "additionalProperties": {"type": "string"},
    },
    {"patternProperties": {"^a|b": True}, "additionalProperties": False},
    {"type": "string", "pattern": "^a+b?$"},
    {"pattern": "b"},
    {"type": "array", "uniqueItems": True},
    {"uniqueItems": False},
    {"items": {"type": "number", "multipleOf": 2}},
    {"anyOf": [{"type": "string", "pattern": "a"}, {"type": "array", "uniqueItems": True, "minItems": 1}]},
    {"not": {"type": "object"}},
    {"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"type": ["array", "object", "null", "boolean"]}},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "unevaluatedProperties": False},
    dict(TREE),
]

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, 1.0, 2.5]), st.text("abc", max_size=3)
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "ab", "name", "parts"]), inner)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
@given(value=VALUES)
def test_a_value_fits_as_the_package_says(schema: dict[str, Json], value: Json) -> None:
    assert SchemaValidator(schema).fits(value) is Draft202012Validator(schema).is_valid(value)


def test_a_schema_may_name_its_draft() -> None:
    pair: dict[str, Json] = {"items": [{"type": "integer"}, {"type": "string"}]}
    seventh = SchemaValidator({"$schema": "http://json-schema.org/draft-07/schema#", **pair})
    assert [seventh.fits([1, "a"]), seventh.fits(["a", 1])] == [True, False]
    assert [Draft7Validator(pair).is_valid([1, "a"]), Draft7Validator(pair).is_valid(["a", 1])] == [True, False]
    assert SchemaValidator({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "null"}).fits(None)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objct"}, "`json_schema.type` is not a JSON Schema: 'objct' is not valid"),
        (
            {"properties": {"x": {"minimum": "3"}}},
            "`json_schema.properties.x.minimum` is not a JSON Schema: '3' is not of",
        ),
        ({"allOf": [{"pattern": "("}]}, "`json_schema.allOf[0].pattern` is not a JSON Schema: '(' is not a 'regex'"),
        ({"$ref": "#/$defs/x"}, "`json_schema` refers to '#/$defs/x', which is not in it"),
        (
            {"items": {"$ref": "https://example.com/x.json"}},
            "`json_schema` refers to 'https://example.com/x.json', which",
        ),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "`json_schema` refers to 'https://json-schema.org"),
        ({"$dynamicRef": "#x"}, "`json_schema` refers to '#x', which is not in it"),
        ({"$ref": "#/x", "x": {"type": 5}}, "`json_schema.type` is not a JSON Schema: 5 is not valid"),
        ({"$ref": "#/x", "x": {"items": {"$ref": "#/y"}}}, "`json_schema` refers to '#/y', which"),
        ({"$ref": "#/x", "x": 5}, "`json_schema` is not a JSON Schema: 5 is not of type 'object', 'boolean'"),
        ({"$ref": "#"}, "the schema refers to itself endlessly"),
        (
            {"$schema": "http://example.com/mine"},
            "`json_schema.$schema` is 'http://example.com/mine', but must be one of",
        ),
        ({"items": {"$schema": "http://json-schema.org/draft-07/schema#"}}, "`json_schema` has `$schema` inside"),
        (
            {"patternProperties": {"a": True}, "unevaluatedProperties": False},
            "`json_schema` has both `patternProperties` and `unevaluatedProperties`",
        ),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_its_place(schema: dict[str, Json], message: str) -> None:
    with pytest.raises(GraderError) as caught:
        SchemaValidator(schema)
    assert str(caught.value).startswith(message)


def test_a_schema_nested_without_bottom_is_refused() -> None:
    schema: dict[str, Json] = {}
    for _ in range(1000):
        schema = {"items": schema}
    with pytest.raises(GraderError, match="nested too deep"):
        SchemaValidator(schema)


def test_references_stay_inside() -> None:
    schema: dict[str, Json] = {
        "$id": "https://example.com/a",
        "$ref": "b",
        "$defs": {"b": {"$id": "b", "type": "null"}},
    }
    assert SchemaValidator(schema).fits(None)
    by_name: dict[str, Json] = {"$ref": "#leaf", "$defs": {"x": {"$anchor": "leaf", "type": "null"}}}
    assert not SchemaValidator(by_name).fits(1)


@pytest.mark.parametrize(
    ("items", "are_unique"),
    [
        ([1, 2], True),
        ([1, 1.0], False),
        ([1, True], True),
        ([0, False], True),
        (["1", 1], True),
        ([[1], [True]], True),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], False),
        ([{"a": 1}, {"a": 2}], True),
        ([[], {}, "", None, False, 0], True),
        ([None, None], False),
    ],
)
def test_items_are_equal_as_json_is(items: list[Json], are_unique: bool) -> None:
    assert SchemaValidator({"uniqueItems": True}).fits(items) is are_unique


def test_multiples_are_those_of_the_decimal_numbers() -> None:
    tenths = SchemaValidator({"multipleOf": 0.1})
    assert [tenths.fits(number) for number in (0.3, 1, 10**400, 0.35)] == [True, True, True, False]
    assert SchemaValidator({"multipleOf": 3}).fits(9.0)


def test_no_answer_takes_longer_than_it_may() -> None:
    branching: dict[str, Json] = {
        "$defs": {"list": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/list"}, {"$ref": "#/$defs/list"}]}}},
        "$ref": "#/$defs/list",
    }
    deep: Json = 1
    for _ in range(60):
        deep = [deep]
    cases: list[tuple[dict[str, Json], Json]] = [
        (branching, deep),
        ({"pattern": HOSTILE}, "a" * 20_000),
        ({"patternProperties": {HOSTILE: {}}}, {"a" * 20_000: 1}),
        ({"patternProperties": {"x": {}}, "additionalProperties": {"pattern": HOSTILE}}, {"a": "a" * 20_000}),
    ]
    for schema, answer in cases:
        with pytest.raises(SchemaTimeoutError, match="took too long"):
            SchemaValidator(schema, timeout_s=0.1).fits(answer)


def test_many_items_are_compared_in_no_time() -> None:
    assert SchemaValidator({"uniqueItems": True}).fits([{"a": number} for number in range(30_000)])


def test_a_deep_answer_is_looked_into() -> None:
    tree: Json = {"name": "leaf"}
    for _ in range(40):
        tree = {"name": "node", "parts": [tree]}
    assert SchemaValidator(TREE).fits(tree)
