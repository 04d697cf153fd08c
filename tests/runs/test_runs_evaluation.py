from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.errors import ConfigError
from verifine.runs.evaluation import (
    EvaluatedSample,
    Evaluation,
    read_evaluation,
    read_evaluations,
    wilson_interval,
    write_evaluation,
)


def sample(number: int, score: float | None, format_ok: bool | None, answer_ok: bool | None) -> EvaluatedSample:
    return EvaluatedSample(
        prompt_id=str(number), prompt="p", text="t", score=score, format_ok=format_ok, answer_ok=answer_ok
    )


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # z² = 3.841459. For 32 of 64: 0.5 ± 1.959964 √(0.25/64 + 3.841459/16384) / (1 + 3.841459/64) = 0.5 ± 0.118979.
        (32, 64, 0.381021, 0.618979),
        # For 0 of 10 the lower end is 0 and the upper (z²/10) / (1 + z²/10) = 0.3841459 / 1.3841459.
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        # For 1 of 1 the lower end is 1 / (1 + z²).
        (1, 1, 0.206549, 1.0),
    ],
)
def test_wilson_interval_is_the_one_worked_by_hand(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-6)


@given(counts=st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    mirrored = wilson_interval(n - successes, n)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_interval_refuses_counts_that_cannot_be(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson_interval(successes, n)


def test_shares_count_only_what_was_judged() -> None:
    samples = (
        sample(0, 1.0, True, True),
        sample(1, 0.25, True, False),
        sample(2, None, None, None),
        sample(3, 0.25, False, False),
    )
    evaluation = Evaluation(name="final", samples=samples)
    assert evaluation.reward == 0.5
    assert evaluation.answer_accuracy == pytest.approx(1 / 3)
    assert evaluation.format_accuracy == pytest.approx(2 / 3)
    assert evaluation.interval() == wilson_interval(1, 3)
    assert evaluation.interval("format") == wilson_interval(2, 3)


def test_what_nobody_judged_is_unknown_rather_than_zero() -> None:
    evaluation = Evaluation(name="final", samples=(sample(0, None, None, None),))
    assert (evaluation.reward, evaluation.answer_accuracy, evaluation.format_accuracy) == (None, None, None)
    assert evaluation.interval() is None


def test_evaluations_read_back_by_name(tmp_path: Path) -> None:
    evaluations = {
        name: Evaluation(name=name, samples=(sample(0, 0.5, None, True),)) for name in ("baseline", "step-20", "final")
    }
    paths = [write_evaluation(tmp_path / "eval", evaluation) for evaluation in evaluations.values()]
    assert [path.name for path in paths] == ["baseline.json", "step-20.json", "final.json"]
    assert read_evaluation(paths[0]) == evaluations["baseline"]
    assert read_evaluations(tmp_path / "eval") == evaluations
    assert read_evaluations(tmp_path / "missing") == {}


def test_another_file_is_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text('{"name": 3}')
    with pytest.raises(ConfigError, match=r"baseline\.json: this is not an evaluation"):
        read_evaluations(tmp_path)
