from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.errors import GraderError
from verifine.graders.template import check, render
from verifine.types import Json, Sample


def sample(text: str = "the answer", **item: Json) -> Sample:
    return Sample(output_text=text, item=item)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ item.word }}", "cat"),
        ("{{item.word}}", "cat"),
        ("<{{ item['word'] }}|{{ item[\"word\"] }}>", "<cat|cat>"),
        ("{{ item.deep.list[1].name }}", "second"),
        ("{{ item.deep['list'][0] }}", '{"name": "first"}'),
        ("{{ item.count }}", "31"),
        ("{{ item.whole }}", "1.0"),
        ("{{ item.flag }}", "true"),
        ("{{ item.nothing }}", "null"),
        ("{{ item.deep.list[0].name }}é", "firsté"),
        ("{{ item.with-dash }}", "dashed"),
        ("no reference, but } and { and }}", "no reference, but } and { and }}"),
        ("{{ sample.output_text }}", "the answer"),
        ("{{ sample.output_json }}", "null"),
        ("", ""),
    ],
)
def test_template_renders_to(template: str, expected: str) -> None:
    names: list[Json] = [{"name": "first"}, {"name": "second"}]
    fields: dict[str, Json] = {
        "word": "cat",
        "deep": {"list": names},
        "count": 31,
        "whole": 1.0,
        "flag": True,
        "nothing": None,
        "with-dash": "dashed",
    }
    assert render(template, Sample(output_text="the answer", item=fields)) == expected


def test_fields_of_a_json_answer_can_be_reached() -> None:
    assert render("{{ sample.output_json.x[0] }}", sample('{"x": [7]}')) == "7"


@pytest.mark.parametrize("text", ['{"x": NaN}', "[" * 100_000, "{"])
def test_an_answer_that_is_not_json_has_null_as_output_json(text: str) -> None:
    assert render("{{ sample.output_json }}", sample(text)) == "null"


def test_what_was_put_in_is_not_expanded_again() -> None:
    sneaky = sample("{{ item.gt_answer }}", gt_answer="31")
    assert render("[{{ sample.output_text }}]", sneaky) == "[{{ item.gt_answer }}]"


@given(st.text(), st.text(), st.text())
def test_any_text_stands_unchanged_between_the_texts_around_it(before: str, value: str, after: str) -> None:
    before, after = before.replace("{", "("), after.replace("{", "(")
    assert render(before + "{{ item.x }}" + after, sample(x=value)) == before + value + after


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{ item.gt_anwser }}",
            'item.gt_anwser does not exist (did you mean "gt_answer"?): item has gt_answer, tests',
        ),
        ("{{ item.tests[3] }}", "item.tests[3] does not exist: item.tests has 1 entries"),
        ("{{ item.tests.first }}", "item.tests.first does not exist: item.tests is a list"),
        ("{{ item.gt_answer.x }}", "item.gt_answer.x does not exist: item.gt_answer is 31"),
        ("{{ item.gt_answer[0] }}", "item.gt_answer[0] does not exist: item.gt_answer is 31"),
    ],
)
def test_missing_field_is_named_with_the_fields_that_exist(template: str, message: str) -> None:
    check(template)
    with pytest.raises(GraderError) as caught:
        render(template, sample(gt_answer="31", tests=["a"]))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a {{ item.x", "at column 3 is not closed"),
        ("{{ }}", "is not a path"),
        ("{{ item.x | upper }}", "is not a path"),
        ("{{ item. }}", "is not a path"),
        ("{{ item[-1] }}", "is not a path"),
        ("{{ item }}", "names no field of item"),
        ("{{ row.x }}", "begins with row, not with item or sample"),
        ("{{ sample.output_txt }}", 'sample has no field output_txt (did you mean "output_text"?)'),
    ],
)
def test_broken_template_is_refused_before_any_sample(template: str, message: str) -> None:
    with pytest.raises(GraderError) as caught:
        check(template)
    assert message in str(caught.value)
