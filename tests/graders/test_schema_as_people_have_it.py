"""JSON schemas as people have them: in OpenAI's wrapper, as text, from OpenAPI, misspelt, in the row."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from verifine.config.graders import AnyGrader
from verifine.errors import GraderError
from verifine.graders import build_grader
from verifine.graders.schema import SchemaValidator, read_schema
from verifine.types import GradeFault, Json, Sample

PERSON: dict[str, Json] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "born": {"type": ["integer", "null"]}},
    "required": ["name", "born"],
    "additionalProperties": False,
}
WRAPPED: dict[str, Json] = {"name": "person", "strict": True, "schema": PERSON}
RESPONSE_FORMAT: dict[str, Json] = {"type": "json_schema", "json_schema": WRAPPED}

ADAPTER: TypeAdapter[AnyGrader] = TypeAdapter(AnyGrader)


def score(given: Json, text: str, **item: Json) -> float | None:
    grader = build_grader(ADAPTER.validate_python({"type": "json_schema", "json_schema": given}))
    (grade,) = grader.grade([Sample(output_text=text, item=item)])
    if grade.score is None:
        assert grade.faults == {GradeFault.INVALID_VARIABLE}
    return grade.score


FORMS: dict[str, Json] = {
    "the schema itself": PERSON,
    "chat completions": WRAPPED,
    "without strict": {"name": "person", "schema": PERSON},
    "with a description": {**WRAPPED, "description": "Who."},
    "response_format": RESPONSE_FORMAT,
    "the whole argument": {"response_format": RESPONSE_FORMAT},
    "responses": {"format": {"type": "json_schema", **WRAPPED}},
    "the whole argument of responses": {"text": {"format": {"type": "json_schema", **WRAPPED}}},
    "responses with its neighbours": {"text": {"format": {"type": "json_schema", **WRAPPED}, "verbosity": "low"}},
    "strict beside the wrapper": {"type": "json_schema", "json_schema": {"schema": PERSON}, "strict": True},
    "names beside the wrapper": {"json_schema": {"schema": PERSON}, "name": "person", "description": "Who."},
    "a request": {"model": "gpt", "messages": [], "response_format": RESPONSE_FORMAT},
    "schema as text": {**WRAPPED, "schema": json.dumps(PERSON)},
    "all as text": json.dumps(RESPONSE_FORMAT),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_schema_is_found_in_what_openai_has_around_it(form: str) -> None:
    assert read_schema(FORMS[form]) == PERSON
    for text, wanted in (
        ('{"name": "Ada", "born": 1815}', 1),
        ('{"name": "Ada", "born": null}', 1),
        ('{"anything": 1}', 0),
    ):
        assert score(FORMS[form], text) == wanted


@pytest.mark.parametrize("form", FORMS)
def test_a_row_may_have_the_schema_in_any_of_these_forms(form: str) -> None:
    nested: Json = {"info": {"schema": FORMS[form]}}
    for item in ({"row": nested}, {"row": json.dumps(nested)}):
        assert score("{{ item.row.info.schema }}", '{"name": "Ada", "born": 1815}', **item) == 1
        assert score("{{ item.row.info.schema }}", '{"anything": 1}', **item) == 0


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"schema": {"type": "string"}}},
        {"type": "string", "description": "A text."},
        {"type": "string", "format": "date"},
        {"properties": {"json_schema": {"type": "object"}}},
        {"json_schema": {"type": "null"}, "$ref": "#/json_schema"},
    ],
)
def test_a_schema_that_only_resembles_a_wrapper_is_left_as_it_is(schema: dict[str, Json]) -> None:
    assert read_schema(schema) == schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"title": "Invoice", "description": "An invoice."},
        {"name": "invoice", "strict": True},
        {"name": "invoice", "strict": True, "schema": {}},
        {"format": "email"},
        {"$defs": {"x": {"type": "string"}}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"columns": ["total"], "kind": "invoice"},
    ],
    ids=json.dumps,
)
def test_a_schema_that_constrains_nothing_is_refused(schema: dict[str, Json]) -> None:
    with pytest.raises(GraderError, match="`json_schema` constrains nothing"):
        score(schema, "{}")
    assert score("{{ item.schema }}", "{}", schema=schema) is None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "object", "properties": {"a": {"type": "string", "nullable": True}}}, "`nullable`"),
        ({"type": "object", "additonalProperties": False}, "did you mean `additionalProperties`?"),
        ({"type": "object", "require": ["a"]}, "did you mean `required`?"),
        ({"type": "string", "minlength": 3}, "did you mean `minLength`?"),
        ({"type": "object", "propertes": {}}, "did you mean `properties`?"),
        ({"anyOf": [{"type": "null"}, {"type": "array", "item": {"type": "null"}}]}, "did you mean `items`?"),
        # Other spellings, and other words.
        ({"type": "string", "max_length": 3}, "did you mean `maxLength`?"),
        ({"type": "array", "min_items": 1}, "did you mean `minItems`?"),
        ({"type": "object", "additional_properties": False}, "did you mean `additionalProperties`?"),
        ({"type": "object", "required_properties": ["a"]}, "did you mean `required`?"),
        *(({name: [{"type": "null"}]}, "did you mean `anyOf`?") for name in ("any_of", "anyof", "AnyOf")),
        *(({name: [{"type": "null"}]}, "did you mean `oneOf`?") for name in ("one_of", "oneof")),
        ({"all_of": [{"type": "null"}]}, "did you mean `allOf`?"),
        ({"defs": {"a": {"type": "null"}}, "type": "null"}, "did you mean `$defs`?"),
        ({"type": "object", "property": {"a": {"type": "null"}}}, "did you mean `properties`?"),
        ({"type": "object", "fields": {"a": {"type": "null"}}}, "did you mean `properties`?"),
        ({"type": "number", "min": 1}, "did you mean `minimum`?"),
        ({"type": "number", "max": 1}, "did you mean `maximum`?"),
        ({"type": "string", "regex": "a"}, "did you mean `pattern`?"),
        *(({"type": "string", name: ["a"]}, "did you mean `enum`?") for name in ("values", "options", "choices")),
        ({"type": "array", "unique": True}, "did you mean `uniqueItems`?"),
        ({"type": "object", "schema": {"required": ["a"]}}, "write what stands in it in its place"),
        ({"type": "array", "items": {"type": "string", "max_length": 3}}, "did you mean `maxLength`?"),
        # Keywords of another draft, which this one ignores.
        ({"type": "array", "additionalItems": False}, "`additionalItems`, which its draft would ignore"),
        ({"type": "object", "dependencies": {"a": ["b"]}}, "`dependencies`, which its draft would ignore"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "prefixItems": [{"type": "null"}]},
            "`prefixItems`, which its draft would ignore",
        ),
    ],
)
def test_a_keyword_that_would_be_ignored_is_told(schema: dict[str, Json], message: str) -> None:
    with pytest.raises(GraderError) as caught:
        SchemaValidator(schema)
    assert message in str(caught.value)
    assert score("{{ item.schema }}", "{}", schema=schema) is None


@pytest.mark.parametrize(
    "notes",
    [
        {"title": "A", "description": "b", "default": 1, "examples": [1], "example": 1, "deprecated": False},
        {"x-order": 3, "$comment": "c", "readOnly": True, "$id": "https://example.com/a", "$anchor": "a"},
        {"propertyOrdering": ["a"], "discriminator": {"propertyName": "kind"}, "markdownDescription": "*b*"},
        {"properties": {"nullable": {"type": "boolean"}, "require": {"type": "string"}}},
        {"properties": {"min": {"type": "number"}, "options": {"type": "array"}, "any_of": {}, "schema": {}}},
        {"enumNames": ["a"], "errorMessage": "b", "order": 1, "version": "2", "strict": True, "name": "n"},
    ],
)
def test_notes_and_names_of_fields_are_no_keywords(notes: dict[str, Json]) -> None:
    assert SchemaValidator({"type": "object", **notes}).fits({})


def test_null_fits_where_the_schema_says_so() -> None:
    either: Json = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert [score({"type": ["string", "null"]}, text) for text in ("null", '"a"', "1")] == [1, 1, 0]
    assert [score(either, text) for text in ("null", '"a"', "1")] == [1, 1, 0]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("4.02", True), ("19.99", True), ("19.995", False), ("0.07", True), ("1e2", True), ("1.1e-1", True),
        ("1e-3", False), ("-4.02", True), ("0", True), ("123456789.01", True),
    ],
)  # fmt: skip
def test_cents_are_multiples_of_a_hundredth(text: str, fits: bool) -> None:
    assert score({"type": "number", "multipleOf": 0.01}, text) == fits
    assert score("{{ item.schema }}", text, schema='{"type": "number", "multipleOf": 0.01}') == fits


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert [score({"type": "integer"}, text) for text in ("3", "3.0", "3e2", "3.5", "true")] == [1, 1, 1, 0, 0]


def test_a_row_without_the_schema_is_unscorable_whatever_the_answer() -> None:
    for text in ("{}", "no JSON"):
        assert score("{{ item.schema }}", text) is None


def test_a_schema_may_be_text_that_is_filled_in() -> None:
    template = '{"type": "object", "required": ["{{ item.field }}"]}'
    assert [score(template, '{"total": 1}', field=field) for field in ("total", "tax")] == [1, 0]


@pytest.mark.parametrize("schema", ["{{ sample.output_text }}", "{{ sample.output_json.schema }}"])
def test_the_model_cannot_bring_its_own_schema(schema: str) -> None:
    with pytest.raises(ValidationError, match="the model would write its own schema"):
        ADAPTER.validate_python({"type": "json_schema", "json_schema": schema})
