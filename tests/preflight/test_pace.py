from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config import RunConfig, build_config
from verifine.preflight.pace import PaceEstimate, Span, Timings, Work, describe_span, estimate_pace, judge_pace


def make_config(**run: object) -> RunConfig:
    return build_config({"data": {"task": "add"}, "sampling": {"max_new_tokens": 16}, "run": {"steps": 100, **run}})


def spans(*values: Span) -> list[tuple[float, float]]:
    return [(span.low, span.high) for span in values]


def test_a_check_as_large_as_a_step_measures_the_step(timings: Timings, work: Work) -> None:
    pace = estimate_pace(make_config(), timings, work, held_out=0)
    # Sampling and grading as measured; the update 2.5 forward passes over half of the groups, to 4 over all of them.
    assert spans(pace.sampling, pace.grading, pace.update) == [(2.0, 2.0), (0.5, 0.5), (1.25, 4.0)]
    assert spans(pace.step) == [(3.75, 6.5)]


def test_a_larger_step_takes_as_long_to_as_many_times_as_long(timings: Timings, work: Work) -> None:
    config = build_config({"data": {"task": "add"}, "sampling": {"prompts_per_step": 16, "max_new_tokens": 16}})
    pace = estimate_pace(config, timings, work, held_out=0)
    assert spans(pace.sampling, pace.update) == [(2.0, 4.0), (2.5, 8.0)]


def test_a_smaller_step_takes_as_long_at_most(timings: Timings, work: Work) -> None:
    config = build_config({"data": {"task": "add"}, "sampling": {"prompts_per_step": 4, "max_new_tokens": 16}})
    assert spans(estimate_pace(config, timings, work, held_out=0).sampling) == [(1.0, 2.0)]


def test_estimates_resampling_and_further_updates_cost_more(timings: Timings, work: Work) -> None:
    more = replace(work, rounds=4, estimates=2, updates=3, is_saving=False)
    pace = estimate_pace(make_config(), timings, more, held_out=0)
    assert spans(pace.sampling, pace.update) == [(2.0, 8.0), (2 + 7.5, 2 + 12.0)]


def test_rounds_take_at_most_as_many_times_as_long(timings: Timings, work: Work) -> None:
    rounds = {"rounds": {"answers": 8, "rounds": 4}, "max_new_tokens": 16}
    config = build_config({"data": {"task": "add"}, "sampling": rounds})
    pace = estimate_pace(config, timings, work, held_out=0)
    assert spans(pace.sampling, pace.grading, pace.update) == [(2.0, 8.0), (0.5, 2.0), (1.25, 4.0)]


def test_all_steps_and_evaluations_make_the_whole(timings: Timings, work: Work) -> None:
    pace = estimate_pace(make_config(eval_interval=30), timings, work, held_out=64)
    assert spans(pace.evaluation) == [(2.5, 2.5)]
    assert pace.total is not None
    # Before, after steps 30, 60 and 90, and at the end; of the updates half may be spared over the run.
    assert spans(pace.total) == [(100 * (2.5 + 1.25 / 2) + 5 * 2.5, 100 * 6.5 + 5 * 2.5)]


def test_several_answers_to_a_held_out_prompt_take_as_many_times_as_long_at_most(timings: Timings, work: Work) -> None:
    config = build_config({"data": {"task": "add"}, "sampling": {"max_new_tokens": 16}, "evaluation": {"samples": 4}})
    assert spans(estimate_pace(config, timings, work, held_out=64).evaluation) == [(2.5, 10.0)]


def test_a_run_that_only_time_ends_has_no_whole(timings: Timings, work: Work) -> None:
    assert estimate_pace(make_config(steps=None, minutes=5), timings, work, held_out=8).total is None


@given(
    st.integers(1, 64),
    st.integers(2, 64),
    st.integers(0, 500),
    st.floats(0, 1),
    st.integers(1, 4),
    st.booleans(),
)
def test_no_span_ends_before_it_begins(
    prompts: int, group: int, held_out: int, share: float, rounds: int, is_saving: bool
) -> None:
    config = build_config(
        {
            "data": {"task": "add"},
            "sampling": {"prompts_per_step": prompts, "group_size": group, "max_new_tokens": 16},
        }
    )
    timings = Timings(groups=8, answers=64, sampling_s=2.0, grading_s=0.5, forward_s=1.0, signal_share=share)
    work = Work(rounds=rounds, estimates=1, updates=1, is_saving=is_saving)
    pace = estimate_pace(config, timings, work, held_out)
    assert pace.total is not None
    assert all(0 <= span.low <= span.high for span in (pace.step, pace.evaluation, pace.total))


def make_pace(grading_s: float = 1.0) -> PaceEstimate:
    second = Span(low=1.0, high=2.0)
    return PaceEstimate(
        sampling=second,
        grading=Span(low=grading_s, high=grading_s),
        update=second,
        evaluation=Span(low=20.0, high=30.0),
        total=Span(low=400.0, high=800.0),
    )


@pytest.mark.parametrize(("seconds", "is_slow"), [(2.0, False), (2.1, True)])
def test_grading_that_takes_longer_than_sampling_is_a_warning(seconds: float, is_slow: bool) -> None:
    findings = judge_pace(make_pace(seconds), make_config())
    assert [finding.name for finding in findings] == ["slow_grading"] * is_slow
    assert all(finding.evidence == "grading 2.1 s, sampling 1.0 to 2.0 s" for finding in findings)


def test_grading_that_is_quick_anyway_is_not() -> None:
    quick = replace(make_pace(1.0), sampling=Span(low=0.1, high=0.1))
    assert judge_pace(quick, make_config()) == []


@pytest.mark.parametrize(
    ("minutes", "name"), [(0.7, "no_time"), (0.75, "time_ends_first"), (6.6, "time_ends_first"), (6.7, None)]
)
def test_a_time_limit_that_matters_is_told(minutes: float, name: str | None) -> None:
    # Two evaluations take 40 s at least, and a step 3; all steps 400 s.
    findings = judge_pace(make_pace(), make_config(minutes=minutes))
    assert [finding.name for finding in findings] == ([] if name is None else [name])


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.0, 1.0, "1.0 s"),
        (1.04, 9.96, "1.0 to 10.0 s"),
        (9.0, 61.0, "9 s to 1 min 1 s"),
        (100.0, 100.3, "1 min 40 s"),
    ],
)
def test_spans_are_told_in_the_units_of_people(low: float, high: float, text: str) -> None:
    assert describe_span(Span(low=low, high=high)) == text
