from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.data import hold_out, read_examples, summarize_data
from verifine.data.summary import Repeats
from verifine.types import Example, Message

letters = st.lists(st.sampled_from("abcdefgh"), max_size=12)


def ask(*contents: str, **item: Any) -> list[Example]:
    return [
        Example(id=content, messages=(Message(role="user", content=content),), item=item, place=f"line {number}")
        for number, content in enumerate(contents, start=1)
    ]


def test_rows_that_repeat_another_are_counted_and_the_first_named() -> None:
    summary = summarize_data(ask(*"abacbaaa"), [], is_carved_out=False)
    assert summary.train_rows == 8
    assert summary.duplicates == Repeats(
        count=5, first=(("line 3", "line 1"), ("line 5", "line 2"), ("line 6", "line 1"))
    )


def test_held_out_rows_that_are_trained_on_are_counted_and_the_first_named() -> None:
    summary = summarize_data(ask(*"abca"), ask(*"xcay"), is_carved_out=False)
    assert summary.overlap == Repeats(count=2, first=(("line 2", "line 3"), ("line 3", "line 1")))
    assert (summary.held_out_rows, summary.is_carved_out) == (4, False)


@given(letters, letters)
def test_repeats_are_those_of_a_naive_count(train: list[str], held_out: list[str]) -> None:
    summary = summarize_data(ask(*train), ask(*held_out), is_carved_out=False)
    assert summary.duplicates.count == len(train) - len(set(train))
    assert summary.overlap.count == sum(each in train for each in held_out)
    for later, earlier in summary.duplicates.first:
        first, second = (int(place.removeprefix("line ")) - 1 for place in (earlier, later))
        assert train.index(train[second]) == first < second


def test_fields_are_counted_where_they_are_not_null() -> None:
    train = [*ask("a", "b", gt_answer="4", level=None), *ask("c", level=0, note="")]
    assert summarize_data(train, [], is_carved_out=False).fields == {"gt_answer": 2, "level": 1, "note": 1}


@pytest.mark.parametrize(
    ("references", "constant"),
    [
        (["4", "4", "4"], '"4"'),
        ([["é", 1], ["é", 1]], '["é", 1]'),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], '{"a": 1, "b": 2}'),
        (["4", "4", "5"], None),
        ([4, "4"], None),
        (["4"], None),  # of one row, nothing can be said
        ([None, None], "null"),
    ],
)
def test_a_reference_that_all_rows_have_in_common_is_told(references: list[Any], constant: str | None) -> None:
    train = [example for reference in references for example in ask("a", gt_answer=reference)]
    assert summarize_data(train, [], is_carved_out=False).constant_reference == constant


def test_rows_without_a_reference_have_none_in_common() -> None:
    assert summarize_data(ask("a", "b"), [], is_carved_out=False).constant_reference is None
    assert summarize_data([*ask("a"), *ask("b", gt_answer=1)], [], is_carved_out=False).constant_reference is None


def test_a_file_that_is_split_has_no_overlap(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"q{index % 30}"}) + "\n" for index in range(100)))
    examples = read_examples(path)
    train, held_out = (examples.select(side) for side in hold_out(examples.fingerprints, 0, 64))
    summary = summarize_data(train, held_out, is_carved_out=True)
    assert (summary.train_rows, summary.held_out_rows) == (100 - len(held_out), len(held_out))
    assert 0 < len(held_out) <= 10
    assert summary.overlap == Repeats(count=0, first=())
    assert summary.duplicates.first[0][0].startswith(f"{path} line 3")


def test_nothing_has_nothing_to_tell() -> None:
    summary = summarize_data([], [], is_carved_out=True)
    assert (summary.train_rows, summary.fields, summary.constant_reference) == (0, {}, None)
