from __future__ import annotations

from verifine.insights.held_out import metrics_with_intervals
from verifine.insights.inference import wilson_interval
from verifine.runs.evaluations import EvaluatedSample, Evaluation


def asked(*rights: str, second_score: float | None = None) -> Evaluation:
    """A word a problem, a letter an answer: `1` right."""
    samples = [
        EvaluatedSample(
            prompt_id=str(problem),
            prompt="",
            text="",
            score=float(letter),
            format_ok=None,
            answer_ok=letter == "1",
            sample=place,
            second_score=second_score,
            passed=letter == "1",
        )
        for problem, letters in enumerate(rights)
        for place, letter in enumerate(letters)
    ]
    return Evaluation(name="any", samples=tuple(samples))


def test_what_nobody_judged_has_no_row() -> None:
    assert [each.name for each in metrics_with_intervals(asked("1", "0"))] == ["Answer accuracy", "Average reward"]
    assert metrics_with_intervals(asked()) == []


def test_the_second_grader_comes_first_and_pass_at_k_last() -> None:
    rows = metrics_with_intervals(asked("100", "000", second_score=0.5))
    assert [each.name for each in rows] == [
        "Average score, second grader", "Answer accuracy", "Average reward", "pass@1", "pass@2", "pass@3",
    ]  # fmt: skip
    # one of three right: of the pairs two in three have it
    assert [round(each.value, 4) for each in rows] == [0.5, 0.1667, 0.1667, 0.1667, 0.3333, 0.5]
    assert rows[-1].interval == wilson_interval(1, 2)
