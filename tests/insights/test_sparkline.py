from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.insights.sparkline import sparkline


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([7, 0], 10, "█▁"),
        ([3, 3, 3], 10, "▄▄▄"),
        ([0, None, 1], 10, "▁ █"),
        ([0, math.nan, math.inf, 1], 10, "▁  █"),
        ([None, None], 10, "  "),
        ([], 10, ""),
        ([0, 2, 9, 11], 2, "▁█"),
        ([0, None, None, None, 5, 5], 3, "▁ █"),
    ],
)
def test_a_series_is_drawn_as_worked_by_hand(values: list[float | None], width: int, line: str) -> None:
    assert sparkline(values, width) == line


@given(values=st.lists(st.none() | st.floats(-1e100, 1e100), max_size=60), width=st.integers(1, 50))
def test_a_line_is_as_long_as_the_series_or_the_width(values: list[float | None], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)
