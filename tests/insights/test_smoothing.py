from __future__ import annotations

import pytest

from verifine.insights.smoothing import smoothed


def test_smoothing_is_the_running_mean_worked_by_hand() -> None:
    # weights 1; 1, 1/2; gap; 1, 1/2, 1/4 of the values there are
    result = smoothed([4.0, 1.0, None, 2.0], weight=0.5)
    assert result == [4.0, pytest.approx((1 + 2) / 1.5), None, pytest.approx((2 + 0.5 + 1) / 1.75)]
    assert smoothed([]) == []


def test_a_constant_series_is_not_changed_by_smoothing() -> None:
    assert smoothed([0.3] * 50) == pytest.approx([0.3] * 50)
