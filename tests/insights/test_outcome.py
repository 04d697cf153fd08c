from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from verifine.config import build_config
from verifine.insights.outcome import describe_duration, describe_outcome
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.runs.events import EventRecord, TrainingStarted, record_of
from verifine.runs.record import RunRecord
from verifine.runs.status import RunStatus, Status
from verifine.types import Json, StepReport

START = datetime(2026, 1, 2, tzinfo=UTC)


def evaluation(name: str, right: int, total: int = 64, *, is_judged: bool = True) -> Evaluation:
    return Evaluation(
        name=name,
        samples=tuple(
            EvaluatedSample(
                prompt_id=str(number),
                prompt="",
                text="",
                score=float(number < right),
                format_ok=None,
                answer_ok=number < right if is_judged else None,
            )
            for number in range(total)
        ),
    )


FIELDS: dict[str, dict[str, Json]] = {
    "no_signal": {"reason": "solved"},
    "failed": {"error": "the gradient was not finite"},
    "saved": {"step": 1},
}


def record(
    *evaluations: Evaluation, rewards: tuple[float, ...] = (0.25,) * 41, last_event: str = "finished"
) -> RunRecord:
    row = {"time": (START + timedelta(seconds=252)).isoformat(), "type": last_event, **FIELDS.get(last_event, {})}
    return RunRecord(
        name="run",
        config=build_config({"data": {"task": "add"}}),
        config_text="",
        environment=None,
        events=[
            EventRecord(time=START, event=TrainingStarted()),
            record_of(row),
        ],
        metrics=[StepReport(step=step, metrics={"reward": reward}) for step, reward in enumerate(rewards, start=1)],
        status=RunStatus(status=Status(last_event) if last_event in set(Status) else Status.KILLED),
        evaluations=[(41 if each.name == "final" else 0, each) for each in evaluations],
    )


def test_a_clear_rise_is_said_with_its_interval_and_what_it_took() -> None:
    assert describe_outcome(record(evaluation("baseline", 18), evaluation("final", 42))) == (
        "Held-out answer accuracy rose from 0.28 to 0.66 (64 problems, 95 % interval 0.53 to 0.76) "
        "in 41 steps and 4 min 12 s. Better: +0.38 (95 % interval 0.25 to 0.50, p < 0.001)."
    )


def test_a_fall_is_called_a_fall() -> None:
    outcome = describe_outcome(record(evaluation("baseline", 42), evaluation("final", 18)))
    assert outcome.startswith("Held-out answer accuracy fell from 0.66 to 0.28")
    assert outcome.endswith(" Worse: -0.38 (95 % interval -0.50 to -0.25, p < 0.001).")


def test_a_small_difference_is_said_to_be_chance() -> None:
    outcome = describe_outcome(record(evaluation("baseline", 18), evaluation("final", 21)))
    assert "rose from 0.28 to 0.33" in outcome
    # Of 2^3 signs two are all alike.
    assert "No evidence of a difference: +0.05 (95 % interval 0.00 to 0.11, p = 0.250)." in outcome
    assert outcome.endswith("Of 64 problems, 3 got better and 0 got worse.")


def test_no_difference_is_no_rise() -> None:
    outcome = describe_outcome(record(evaluation("baseline", 18), evaluation("final", 18)))
    assert outcome.startswith("Held-out answer accuracy stayed at 0.28 (64 problems")


def test_without_right_and_wrong_the_reward_is_compared() -> None:
    evaluations = evaluation("baseline", 1, 4, is_judged=False), evaluation("final", 3, 4, is_judged=False)
    assert describe_outcome(record(*evaluations)).startswith(
        "The average reward on held-out problems rose from 0.25 to 0.75 (4 problems, 95 % interval 0.25 to 1.00) in 41 "
        "steps and 4 min 12 s. No evidence of a difference: +0.50"
    )


def test_answers_that_could_not_be_scored_are_said_to_be_so() -> None:
    unscored = evaluation("final", 0, 2, is_judged=False)
    unscored = replace(unscored, samples=tuple(replace(sample, score=None) for sample in unscored.samples))
    outcome = describe_outcome(record(replace(unscored, name="baseline"), unscored))
    assert outcome.startswith("None of the 2 held-out answers could be scored after ")
    unrewarded = replace(
        record(replace(unscored, name="baseline"), unscored),
        metrics=[StepReport(step=step, metrics={}) for step in (1, 2)],
    )
    assert describe_outcome(unrewarded) == (
        "None of the 2 held-out answers could be scored after 2 steps and 4 min 12 s; no answer to learn from could be "
        "scored."
    )


def test_a_second_grader_has_the_word_and_the_first_is_heard() -> None:
    def judged(name: str, truth: float, score: float) -> Evaluation:
        made = evaluation(name, 0, 8, is_judged=False)
        return replace(made, samples=tuple(replace(each, second_score=truth, score=score) for each in made.samples))

    outcome = describe_outcome(record(judged("baseline", 0.5, 0.2), judged("final", 0.25, 0.9)))
    assert outcome.startswith("The second grader's score on held-out problems fell from 0.50 to 0.25 (8 problems")
    assert "Worse: -0.25 (p = 0.008)." in outcome
    assert outcome.endswith("By the training grader it rose from 0.20 to 0.90.")


def test_several_answers_to_a_problem_are_said_to_be_so() -> None:
    made = evaluation("final", 2, 4)
    twice = replace(made, samples=tuple(replace(each, sample=place) for each in made.samples for place in (0, 1)))
    assert "(4 problems, 2 answers each, 95 %" in describe_outcome(record(replace(twice, name="baseline"), twice))


def test_the_best_of_several_evaluations_is_said_to_look_too_good() -> None:
    config = {"data": {"task": "add"}, "run": {"eval_interval": 20}, "evaluation": {"keep": "best"}}
    evaluations = [evaluation("baseline", 18), evaluation("step-20", 50), evaluation("final", 50)]
    told = replace(record(*evaluations), config=build_config(config))
    # The last is the one after 20 steps once more, under the name of what was kept.
    last = replace(evaluations[1], name="step-41")
    told = replace(told, evaluations=[(0, evaluations[0]), (20, evaluations[1]), (20, evaluations[2]), (41, last)])
    assert describe_outcome(told).endswith(
        "These weights are the best of 3 evaluations on the same problems, so this number is likely too high: "
        "evaluate them on other problems with `verifine eval`."
    )
    assert "likely too high" not in describe_outcome(record(*evaluations))


@pytest.mark.parametrize(
    ("rewards", "last_event", "sentence"),
    [
        ((), "started", "Not finished; no step is done yet."),
        ((0.25,), "started", "Not finished after 1 step and 4 min 12 s; the average reward was 0.25."),
        (
            (0.25, 0.9, 0.5),
            "interrupted",
            "Interrupted after 3 steps and 4 min 12 s; the average reward of a step rose from 0.25 to 0.50.",
        ),
        (
            (0.9, 1.0),
            "no_signal",
            "Ended because there was nothing left to learn, without a held-out evaluation after 2 steps and 4 min "
            "12 s; the average reward of a step rose from 0.90 to 1.00.",
        ),
        ((), "failed", "Failed (the gradient was not finite); no step is done yet."),
        (
            (0.5,),
            "finished",
            "Finished without a held-out evaluation after 1 step and 4 min 12 s; the average reward was 0.50.",
        ),
    ],
)
def test_a_run_without_a_final_evaluation_says_how_far_it_came(
    rewards: tuple[float, ...], last_event: str, sentence: str
) -> None:
    assert describe_outcome(record(evaluation("baseline", 18), rewards=rewards, last_event=last_event)) == sentence


def test_without_events_there_is_no_duration() -> None:
    eventless = replace(record(rewards=(0.25,)), events=[])
    assert describe_outcome(eventless) == "Not finished after 1 step; the average reward was 0.25."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (252, "4 min 12 s"), (3599.7, "1 h 0 min"), (7400, "2 h 3 min")],
)
def test_durations_are_said_in_two_units_at_most(seconds: float, text: str) -> None:
    assert describe_duration(seconds) == text
