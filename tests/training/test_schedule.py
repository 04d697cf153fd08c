from __future__ import annotations

import pytest

from verifine.config import OptimConfig
from verifine.training.schedule import Schedule


def test_a_constant_rate_stays() -> None:
    assert [Schedule().factor(done) for done in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]


def test_a_linear_rate_falls_evenly_to_its_share_and_no_further() -> None:
    schedule = Schedule(final_share=0.2)
    assert [schedule.factor(done) for done in (-0.1, 0.0, 0.5, 1.0, 1.5)] == pytest.approx([1, 1, 0.6, 0.2, 0.2])


def test_only_a_linear_schedule_has_a_final_share() -> None:
    wanted = {"constant": 1.0, "linear": 0.3}
    for name, share in wanted.items():
        config = OptimConfig.model_validate({"schedule": name, "final_share": 0.3})
        assert Schedule.of(config) == Schedule(final_share=share)
