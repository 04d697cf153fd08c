"""Findings while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.diagnosis.history import RECENT
from verifine.insights.diagnosis.monitor import Monitor
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]


def watch(record: RunRecord) -> list[tuple[int, str, str]]:
    """Step, name and severity of everything that was said on the way."""
    watching = Monitor(record.config)
    return [
        (report.step, finding.name, finding.severity.value)
        for report in record.metrics
        for finding in watching.stepped(report)
    ]


def test_a_finding_is_told_once_while_it_stays(make_run: MakeRun) -> None:
    assert watch(make_run({"completions/clipped_ratio": 0.3})) == [(10, "answers_cut_off", "warning")]


def test_a_finding_that_gets_worse_is_told_again(make_run: MakeRun) -> None:
    worse = make_run({"completions/clipped_ratio": lambda step: 0.3 if step <= 30 else 0.8})
    assert [each[1:] for each in watch(worse)] == [("answers_cut_off", "warning"), ("answers_cut_off", "problem")]


def test_a_finding_that_comes_and_goes_is_told_once(make_run: MakeRun) -> None:
    """Around its threshold a number crosses it all the time."""
    wavering = make_run({"timing/grade_s": lambda step: 2.5 + 0.5 * (-1) ** step})
    assert len(watch(wavering)) == 1


def test_a_finding_that_was_gone_for_long_is_new(make_run: MakeRun) -> None:
    twice = make_run({"completions/clipped_ratio": lambda step: 0.3 if step <= 20 or step > 80 else 0.0}, steps=120)
    # 14 of the latest 20 steps at 0.3 are more than 0.2 on average.
    assert [step for step, _, _ in watch(twice)] == [10, 94]


def test_a_run_that_goes_on_is_not_told_what_it_was_told(make_run: MakeRun) -> None:
    record = make_run({"completions/clipped_ratio": 0.3})
    watching = Monitor.after(replace(record, metrics=record.metrics[:40]))
    assert not any(watching.stepped(report) for report in record.metrics[40:])


def test_what_was_said_last_is_what_is_said_afterwards(make_run: MakeRun) -> None:
    """One history, told live or read: a watch that begins with the last step says what the doctor says."""
    record = make_run({"mismatch/mean": 0.06, "frac_reward_zero_std": 0.9, "answer_accuracy": 0.5})
    told = {name for _, name, _ in watch(record)}
    assert told == {finding.name for finding in diagnose(record)} != set()


def test_an_evaluation_is_told_when_it_comes(make_run: MakeRun) -> None:
    record = make_run({"reward": lambda step: 0.3 + step / 120})
    watching = Monitor(record.config)
    assert not watching.evaluated(evaluation("baseline", [1.0] * 24 + [0.0] * 8))
    for report in record.metrics:
        watching.stepped(report)
    found = watching.evaluated(evaluation("final", [1.0] * 8 + [0.0] * 24))
    assert [finding.name for finding in found] == ["held_out_falls"]


def evaluation(name: str, scores: Sequence[float]) -> Evaluation:
    samples = (
        EvaluatedSample(prompt_id=str(number), prompt="", text="", score=score, format_ok=None, answer_ok=None)
        for number, score in enumerate(scores)
    )
    return Evaluation(name=name, samples=tuple(samples))


def test_a_long_run_is_watched_by_its_ends_alone(make_run: MakeRun) -> None:
    """What a history keeps does not grow with the run."""
    record = make_run(steps=300)
    watching = Monitor(record.config)
    for report in record.metrics:
        watching.stepped(report)
    history = watching._history
    kept = {
        id(each) for part in (history.opening, history.earlier, history.recent, history.best) for each in part.reports
    }
    assert len(kept) <= 10 + 3 * RECENT
