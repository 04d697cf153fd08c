from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.errors import ConfigError
from verifine.insights.held_out import evaluation_numbers, interval_of, pass_at, pass_at_of_problem, pass_interval
from verifine.insights.inference import bootstrap_interval, wilson_interval
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import (
    EvaluatedSample,
    Evaluation,
    decisive,
    read_evaluation,
    read_evaluations,
    write_evaluation,
)
from verifine.runs.record import read_run


def sample(number: int, score: float | None, format_ok: bool | None, answer_ok: bool | None) -> EvaluatedSample:
    return EvaluatedSample(
        prompt_id=str(number), prompt="p", text="t", score=score, format_ok=format_ok, answer_ok=answer_ok
    )


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
    assert interval_of(evaluation) == wilson_interval(1, 3)
    assert interval_of(evaluation, "format") == wilson_interval(2, 3)


def test_what_nobody_judged_is_unknown_rather_than_zero() -> None:
    evaluation = Evaluation(name="final", samples=(sample(0, None, None, None),))
    assert (evaluation.reward, evaluation.answer_accuracy, evaluation.format_accuracy) == (None, None, None)
    assert interval_of(evaluation) is None


def answer(problem: str, place: int, score: float | None, **grades: bool | float | None) -> EvaluatedSample:
    given: dict[str, bool | float | None] = {"format_ok": None, "answer_ok": None, **grades}
    return EvaluatedSample(prompt_id=problem, prompt="p", text=f"{problem}{place}", score=score, sample=place, **given)  # type: ignore[arg-type]


def several(*scores: tuple[str, Sequence[float | None]]) -> Evaluation:
    """Problems with several answers each; a score of 1 is right."""
    samples = [
        answer(problem, place, score, answer_ok=is_right, passed=is_right)
        for problem, each in scores
        for place, score in enumerate(each)
        for is_right in [None if score is None else score == 1]
    ]
    return Evaluation(name="final", samples=tuple(samples), temperature=0.7)


def test_a_number_is_the_average_over_problems_of_the_averages_of_their_answers() -> None:
    evaluation = several(("a", [1.0, 0.0, 0.0, 0.0]), ("b", [1.0, 1.0, None, None]), ("c", [None] * 4))
    assert evaluation.reward == (0.25 + 1.0) / 2
    assert evaluation.answer_accuracy == (0.25 + 1.0) / 2
    assert (len(evaluation.problems), evaluation.answers_each) == (3, 4)


def test_pass_at_k_of_an_evaluation_is_the_one_worked_by_hand() -> None:
    evaluation = several(("a", [1.0, 0.0, 0.0, 0.0]), ("b", [0.0] * 4), ("c", [1.0, 1.0, None, None]))
    # of two of four answers, one right: 1 - C(3,2)/C(4,2) = 1/2; none right: 0; both of two: 1
    assert pass_at(evaluation, 1) == pytest.approx((0.25 + 0 + 1) / 3)
    assert pass_at(evaluation, 2) == pytest.approx((0.5 + 0 + 1) / 3)
    # c has two answers that were judged, so it says nothing of four.
    assert pass_at(evaluation, 4) == pytest.approx(1 / 2)
    assert pass_interval(evaluation, 4) == wilson_interval(1, 2)
    assert pass_interval(evaluation, 2) == bootstrap_interval([0.5, 0.0, 1.0])
    assert pass_at(evaluation, 5) is None
    assert pass_interval(evaluation, 5) is None


def test_an_answer_of_which_nobody_knows_whether_it_passes_counts_for_nothing() -> None:
    samples = (
        answer("a", 0, 0.4, answer_ok=True, passed=False),
        answer("b", 0, 0.9, passed=True),
        answer("c", 0, 0.1, answer_ok=True),
    )
    evaluation = Evaluation(name="final", samples=samples)
    assert [pass_at_of_problem(problem, 1) for problem in evaluation.problems] == [0.0, 1.0, None]
    assert pass_at(evaluation, 1) == 0.5


def test_an_interval_is_over_problems_however_many_answers_each_has() -> None:
    few = several(("a", [1.0]), ("b", [0.0]), ("c", [1.0]))
    many = several(("a", [1.0] * 50), ("b", [0.0] * 50), ("c", [1.0] * 50))
    assert interval_of(few) == interval_of(many) == wilson_interval(2, 3)
    mixed = several(("a", [1.0, 0.0]), ("b", [0.0, 0.0]), ("c", [1.0, 1.0]))
    assert interval_of(mixed) == bootstrap_interval([0.5, 0.0, 1.0])
    assert interval_of(mixed, "reward") == bootstrap_interval([0.5, 0.0, 1.0])
    assert interval_of(mixed, "second_score") is None


def test_all_right_is_not_called_certain() -> None:
    sure = several(*((str(number), [1.0, 1.0]) for number in range(64)))
    assert interval_of(sure) == wilson_interval(64, 64)


def test_a_second_grader_decides_before_the_first() -> None:
    first = several(("a", [1.0]), ("b", [0.0]))
    with_truth = Evaluation(name="x", samples=(answer("a", 0, 1.0, answer_ok=True, second_score=0.2),))
    judged = Evaluation(
        name="y", samples=(answer("a", 0, 1.0, answer_ok=True, second_score=0.2, second_answer_ok=False),)
    )
    unscored = Evaluation(name="z", samples=(answer("a", 0, None),))
    assert decisive(first) == "answer"
    assert decisive(with_truth) == "second_score"
    assert decisive(judged) == "second_answer"
    assert decisive(judged, with_truth) == "second_score"
    assert decisive(judged, first) == "answer"
    assert decisive(first, unscored) is None


def test_the_typical_answer_is_the_one_closest_to_the_average() -> None:
    mostly_right = several(("a", [0.0, 1.0, 1.0]), ("b", [0.0, 0.0, 1.0]))
    assert [problem.typical("answer").text for problem in mostly_right.problems] == ["a1", "b0"]


def test_the_numbers_name_every_measure_and_its_interval() -> None:
    numbers = evaluation_numbers(several(("a", [1.0, 0.0, 0.0]), ("b", [0.0] * 3)))
    assert (numbers["problems"], numbers["samples"], numbers["temperature"]) == (2, 6, 0.7)
    assert numbers["answer_accuracy"] == pytest.approx(1 / 6)
    assert (numbers["format_accuracy"], numbers["second_score"], numbers["second_accuracy"]) == (None, None, None)
    # 1 - C(2,2)/C(3,2) = 2/3 for a, 0 for b
    assert numbers["pass_at"] == pytest.approx({"1": 1 / 6, "2": 1 / 3, "3": 1 / 2})
    intervals = numbers["intervals"]
    assert isinstance(intervals, dict)
    assert sorted(intervals) == ["answer_accuracy", "pass_at_1", "pass_at_2", "pass_at_3", "reward"]
    assert intervals["pass_at_3"] == list(wilson_interval(1, 2))


def test_an_evaluation_saved_before_there_were_several_answers_reads_on(tmp_path: Path) -> None:
    (tmp_path / "final.json").write_text(
        '{"name": "final", "samples": ['
        '{"prompt_id": "a", "prompt": "p", "text": "t", "score": 1.0, "format_ok": true, "answer_ok": true},'
        '{"prompt_id": "b", "prompt": "p", "text": "t", "score": 0.1, "format_ok": true, "answer_ok": false, '
        '"gold": "2"}'
        "]}\n"
    )
    old = read_evaluation(tmp_path / "final.json")
    assert (old.answer_accuracy, old.reward, old.temperature, old.answers_each) == (0.5, 0.55, 0.0, 1)
    assert (pass_at(old, 1), evaluation_numbers(old)["pass_at"]) == (None, {})


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


def test_an_evaluation_stands_at_the_step_of_its_weights(finished_run: RunDirectory) -> None:
    kept = Evaluation(name="final", samples=(sample(0, 1.0, None, None),), step=20)
    write_evaluation(finished_run.evaluations, kept)
    steps = {evaluation.name: step for step, evaluation in read_run(finished_run).evaluations}
    assert (steps["baseline"], steps["final"]) == (0, 20)
    write_evaluation(finished_run.evaluations, replace(kept, step=None))
    assert read_run(finished_run).evaluations[-1][0] == 41
