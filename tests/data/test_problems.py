from __future__ import annotations

import pytest

from verifine.data import Problems
from verifine.errors import DataError


def told(*added: tuple[str, str]) -> list[str]:
    problems = Problems()
    for text, place in added:
        problems.add_cause(text, place)
    with pytest.raises(DataError) as raised:
        problems.check()
    return str(raised.value).splitlines()


def rows(cause: str, *numbers: int) -> list[tuple[str, str]]:
    return [(f"a.jsonl line {number}: {cause}", f"a.jsonl line {number}") for number in numbers]


def test_no_problem_is_no_error() -> None:
    Problems().check()


def test_what_holds_for_all_rows_alike_is_told_once() -> None:
    cause = "sampling.max_new_tokens is 256, which fills the context of tiny"
    assert told(*[(cause, f"a.jsonl line {number}") for number in range(8)]) == [cause]


def test_the_same_cause_in_several_rows_is_one_line_with_their_number() -> None:
    assert told(*rows("no messages", 2, 5, 9)) == ["a.jsonl line 2: no messages (and 2 more rows)"]
    assert told(*rows("no messages", 2, 5)) == ["a.jsonl line 2: no messages (and 1 more row)"]


def test_different_causes_are_listed_and_those_after_the_fifth_counted() -> None:
    lines = told(*[row for number in range(7) for row in rows(f"cause {number}", number)])
    assert lines == [*(f"a.jsonl line {number}: cause {number}" for number in range(5)), "and 2 more"]


def test_causes_stay_in_the_order_of_their_first_rows() -> None:
    assert told(*rows("b", 1), *rows("a", 2), *rows("b", 3)) == [
        "a.jsonl line 1: b (and 1 more row)",
        "a.jsonl line 2: a",
    ]


def test_problems_to_be_fixed_in_their_rows_are_listed_row_by_row() -> None:
    problems = Problems()
    for number in range(7):
        problems.add(f"a.jsonl line {number}: no messages")
    with pytest.raises(DataError) as raised:
        problems.check()
    lines = str(raised.value).splitlines()
    assert lines == [*(f"a.jsonl line {number}: no messages" for number in range(5)), "and 2 more"]
