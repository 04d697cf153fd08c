from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.errors import ConfigError
from verifine.runs.jsonl import append_row, end_with_whole_row, finite, read_rows, rows_to_bytes

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)
rows = st.dictionaries(st.text(), values, max_size=4)


@given(written=st.lists(rows, max_size=4))
def test_rows_read_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, written: list[object]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    for row in written:
        assert isinstance(row, dict)
        append_row(path, row)
    assert read_rows(path) == written


@given(cut=st.integers(1, 200))
def test_a_file_cut_anywhere_gives_its_whole_rows_and_can_be_continued(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    whole = rows_to_bytes([{"n": number, "text": "zwölf 🙂 {}\u2028"} for number in range(6)])
    path.write_bytes(whole[:cut])
    # A row is there from its closing brace on, whether or not its line end is.
    ends = [position for position, byte in enumerate(whole) if byte == ord("\n")]
    expected = list(range(sum(end <= cut for end in ends)))
    assert [row["n"] for row in read_rows(path)] == expected
    end_with_whole_row(path)
    append_row(path, {"n": 99})
    assert [row["n"] for row in read_rows(path)] == [*expected, 99]


def test_half_a_surrogate_pair_survives(tmp_path: Path) -> None:
    append_row(tmp_path / "rows.jsonl", {"text": "broken \ud83d here"})
    assert read_rows(tmp_path / "rows.jsonl") == [{"text": "broken \ud83d here"}]


def test_numbers_that_are_not_finite_become_null_at_any_depth() -> None:
    row = {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf, "e": "nan"}}
    assert finite(row) == {"a": None, "b": [None, 1.5], "c": {"d": None, "e": "nan"}}


def test_every_line_is_json_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_row(path, {"value": math.nan, "text": "a\nb"})
    assert json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name)) == {
        "value": None,
        "text": "a\nb",
    }
    assert path.read_bytes().count(b"\n") == 1


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n":\n{"n": 3}\n')
    with pytest.raises(ConfigError, match=r"rows\.jsonl:2: this line is not a JSON object"):
        read_rows(path)


def test_a_file_that_is_not_there_has_no_rows_and_needs_no_mending(tmp_path: Path) -> None:
    end_with_whole_row(tmp_path / "rows.jsonl")
    assert read_rows(tmp_path / "rows.jsonl") == []
