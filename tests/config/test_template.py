from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config.graders.template import SAMPLE_FIELDS, TemplateReference, check_template, parse_template


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("", ("",)),
        ("no reference, but } and { and }}", ("no reference, but } and { and }}",)),
        ("{{ item.word }}", ("", TemplateReference(root="item", steps=("word",)), "")),
        (
            "a {{item.deep['x y'][0]}} b {{ sample.output_text }}",
            (
                "a ",
                TemplateReference(root="item", steps=("deep", "x y", 0)),
                " b ",
                TemplateReference(root="sample", steps=("output_text",)),
                "",
            ),
        ),
        ("{{ item.with-dash }}", ("", TemplateReference(root="item", steps=("with-dash",)), "")),
    ],
)
def test_a_template_is_texts_and_references_in_turn(template: str, parts: tuple[str | TemplateReference, ...]) -> None:
    assert parse_template(template) == parts


def test_a_reference_is_shown_as_one_would_write_it() -> None:
    reference = TemplateReference(root="item", steps=("tests", 3, "name"))
    assert [reference.path(depth) for depth in (0, 1, 2, None)] == [
        "item",
        "item.tests",
        "item.tests[3]",
        "item.tests[3].name",
    ]


def test_every_field_of_a_sample_can_be_named() -> None:
    for field in SAMPLE_FIELDS:
        check_template("{{ sample." + field + " }}")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a {{ item.x", "at column 3 is not closed"),
        ("{{ }}", "is not a path"),
        ("{{ item.x | upper }}", "is not a path"),
        ("{{ item. }}", "is not a path"),
        ("{{ item[-1] }}", "is not a path"),
        ("{{ item[9999999999] }}", "is not a path"),
        ("{{ item.x() }}", "is not a path"),
        ("{{ {{ item.x }} }}", "is not a path"),
        ("{{ item }}", "names no field of item"),
        ("{{ row.x }}", "begins with row, not with item or sample"),
        ("{{ sample.output_txt }}", 'sample has no field output_txt (did you mean "output_text"?)'),
        (
            "{{ sample[0] }}",
            "sample has no field 0; it has output_text, output_json, output_tools, choices, opened_text, "
            "reasoning_text",
        ),
    ],
)
def test_a_template_that_fits_no_sample_is_refused(template: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at
        check_template(template)
    assert message in str(caught.value)


@given(st.text(alphabet="{} .[]'ax0", max_size=30))
def test_a_template_is_read_or_refused_and_its_texts_are_kept(template: str) -> None:
    try:
        parts = parse_template(template)
    except ValueError:
        return
    texts = [part for part in parts if isinstance(part, str)]
    assert all(text in template for text in texts)
    if len(parts) == 1:
        assert texts == [template]
