from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifine.preflight.histogram import WIDEST_BAR, Bar, draw_bars, mean_bars, share_bars


def test_prompts_never_and_always_right_stand_alone() -> None:
    bars = share_bars([0, 0, 0.125, 0.25, 0.26, 0.5, 0.75, 0.99, 1])
    assert [(bar.label, bar.prompts) for bar in bars] == [
        ("never right", 2),
        ("up to 25 %", 2),
        ("up to 50 %", 2),
        ("up to 75 %", 1),
        ("below 100 %", 1),
        ("always right", 1),
    ]


def test_means_fall_into_ranges_over_the_scores() -> None:
    bars = mean_bars([-1.0, -0.61, -0.5, 1.0], -1.0, 1.0)
    assert [(bar.label, bar.prompts) for bar in bars] == [
        ("-1.00 to -0.60", 2),
        ("-0.60 to -0.20", 1),
        ("-0.20 to 0.20", 0),
        ("0.20 to 0.60", 0),
        ("0.60 to 1.00", 1),
    ]


def test_scores_that_are_all_the_same_are_one_bar() -> None:
    assert mean_bars([0.5, 0.5], 0.5, 0.5) == [Bar(label="all 0.50", prompts=2)]


@given(st.lists(st.floats(0, 1), max_size=50))
def test_every_prompt_is_in_one_bar(shares: list[float]) -> None:
    assert sum(bar.prompts for bar in share_bars(shares)) == len(shares)
    if shares:
        assert sum(bar.prompts for bar in mean_bars(shares, min(shares), max(shares))) == len(shares)


def test_bars_are_drawn_to_scale_and_never_too_wide() -> None:
    lines = draw_bars([Bar(label="a", prompts=90), Bar(label="long", prompts=1), Bar(label="b", prompts=0)])
    assert lines == [f"   a  {'█' * WIDEST_BAR} 90", "long  █ 1", "   b"]
    assert draw_bars([]) == []
