from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config.graders.template import check_template
from verifine.graders.template import MissingFieldError, render
from verifine.types import Grade, GradeFault, Json, Sample


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
        ("{{ sample.output_tools }}", "[]"),
        ("{{ sample.choices[0].message.content }}", "the answer"),
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


def test_tool_calls_of_the_answer_can_be_reached() -> None:
    answer = sample('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>')
    assert render("{{ sample.output_tools[0].function.name }}", answer) == "add"
    assert render("{{ sample.choices[0].message.tool_calls[0].function.arguments }}", answer) == '{"a": 1}'


@pytest.mark.parametrize("text", ["", "the answer", '{"x": NaN}', "[" * 100_000, "{", '{"x": 1, "x": 2}', "1e999"])
@pytest.mark.parametrize("path", ["sample.output_json", "sample.output_json.x"])
def test_an_answer_that_is_not_json_scores_nothing_where_json_is_read(text: str, path: str) -> None:
    with pytest.raises(MissingFieldError) as caught:
        render("{{ " + path + " }}", sample(text))
    reason = "sample.output_json does not exist: the answer is not JSON"
    assert caught.value.grade() == Grade.failed(reason, GradeFault.SAMPLE_PARSE)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ sample.output_json.y }}", "sample.output_json.y does not exist: sample.output_json has x"),
        ("{{ sample.output_tools[0] }}", "sample.output_tools[0] does not exist: sample.output_tools has 0 entries"),
        ("{{ sample.choices[1] }}", "sample.choices[1] does not exist: sample.choices has 1 entries"),
    ],
)
def test_an_answer_that_lacks_what_is_read_scores_nothing(template: str, message: str) -> None:
    with pytest.raises(MissingFieldError) as caught:
        render(template, sample('{"x": 1}'))
    assert caught.value.grade() == Grade.failed(message, GradeFault.INVALID_VARIABLE)


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
    check_template(template)
    with pytest.raises(MissingFieldError) as caught:
        render(template, sample(gt_answer="31", tests=["a"]))
    assert str(caught.value) == message
    assert caught.value.grade() == Grade.unscorable(message, GradeFault.INVALID_VARIABLE)
