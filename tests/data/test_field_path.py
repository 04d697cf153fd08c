from __future__ import annotations

import pytest

from verifine.data.columns import rename
from verifine.data.field_path import DeadEndError, find_field
from verifine.data.rows import RowError
from verifine.graders.code_cases import read_cases
from verifine.graders.sample_error import SampleError
from verifine.graders.template import MissingFieldError, render
from verifine.types import Json, Sample

CASES: Json = {"inputs": ["1"], "outputs": ["1"]}


def in_template(item: dict[str, Json], path: str) -> str:
    return render("{{ item." + path + " }}", Sample(output_text="", item=item))


@pytest.mark.parametrize(
    ("fields", "path", "value"),
    [
        ({"a": {"b": 2}}, "a.b", 2),
        ({"a.b": 9}, "a.b", 9),
        ({"a": {"b": 2}, "a.b": 9}, "a.b", 9),
        ({"a": {"c": 2}, "a.b": 9}, "a.b", 9),
        ({"a": '{"b": 2}', "a.b": 9}, "a.b", 9),
        ({"a": {"b": {"c": 2}}, "a.b": {"c": 9}}, "a.b.c", 9),
        ({"a": {"b": {"c": 2}}, "a.b": {"c": 9}, "a.b.c": 7}, "a.b.c", 7),
        ({"x": {"a": {"b": 2}, "a.b": 9}}, "x.a.b", 9),
        ({"a": [5], "a[0]": 9}, "a[0]", 9),
        ({"a": [5], "a[1]": 9}, "a[0]", 5),
        ({"a": {"b": [5]}, "a.b[0]": 9}, "a.b[0]", 9),
        ({"a": {"b": 2}, "a.b": 9}, "a", {"b": 2}),
    ],
)
def test_a_path_leads_to_the_same_value_wherever_one_is_written(
    fields: dict[str, Json], path: str, value: Json
) -> None:
    """The longest name of a field comes first."""
    assert find_field(fields, path) == value
    assert rename(fields, {"gt": path}, str)["gt"] == value
    assert in_template(fields, path) == ('{"b": 2}' if isinstance(value, dict) else str(value))


def test_tests_are_read_from_the_same_place() -> None:
    item: dict[str, Json] = {"a": {"b": "no tests"}, "a.b": CASES}
    assert len(read_cases(item, "a.b").cases) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{'b': 1}", "Expecting property name enclosed in double quotes; it looks like Python's own notation"),
        ("[{'b': 1}]", "Expecting property name enclosed in double quotes; it looks like Python's own notation"),
        ('{"b": NaN}', "NaN is not a JSON number; write null or leave the field out"),
        ('{"b": 1, "b": 2}', 'the key "b" stands twice in one object; keep one of them'),
        ('\ufeff{"b": 1}', "it begins with a byte order mark (U+FEFF); remove it"),
        ('{"b": 1} and more', "Extra data"),
        ('{"b": 1', "Expecting ',' delimiter"),
        ("{" * 200, "nested more than 100 levels deep"),
    ],
)
def test_a_text_that_looks_like_json_is_told_why_it_is_none(text: str, why: str) -> None:
    item: dict[str, Json] = {"a": text}
    with pytest.raises(MissingFieldError) as of_template:
        in_template(item, "a.b")
    with pytest.raises(RowError) as of_columns:
        rename(item, {"gt": "a.b"}, str)
    with pytest.raises(SampleError) as of_tests:
        read_cases(item, "a.b")
    for error in (of_template, of_columns, of_tests):
        assert f"not JSON: {why}" in str(error.value)


@pytest.mark.parametrize("text", ["cat", "", "a {b}", "\ufeff", "'b'"])
def test_another_text_is_not_blamed_for_that(text: str) -> None:
    with pytest.raises(DeadEndError) as caught:
        find_field({"a": text}, "a.b")
    assert caught.value.why_text == ""
    with pytest.raises(MissingFieldError) as of_template:
        in_template({"a": text}, "a.b")
    assert "JSON" not in str(of_template.value)
