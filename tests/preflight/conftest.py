"""Facts as a check would gather them, each of a run that is fine."""

from __future__ import annotations

import pytest

from verifine.config import RunConfig, build_config
from verifine.data.summary import DataSummary, Repeats
from verifine.insights.scores import collect_scores
from verifine.preflight.grading import GradingFacts, Repetition, Requests
from verifine.preflight.pace import Timings, Work
from verifine.preflight.report import Report
from verifine.preflight.rows import RowFaults
from verifine.preflight.sampling import SamplingFacts
from verifine.types import Grade

NO_FAULTS = RowFaults(rows=100, count=0, first=())


@pytest.fixture
def config() -> RunConfig:
    return build_config(
        {
            "data": {"train": "x.jsonl"},
            "grader": {"type": "answer"},
            "model": {"precision": "float32"},
            "sampling": {"max_new_tokens": 16},
        }
    )


@pytest.fixture
def summary() -> DataSummary:
    return DataSummary(
        train_rows=100,
        held_out_rows=50,
        is_carved_out=False,
        duplicates=Repeats(count=0, first=()),
        overlap=Repeats(count=0, first=()),
        fields={"gt_answer": 100},
        constant_reference=None,
    )


@pytest.fixture
def grading() -> GradingFacts:
    right, wrong = [Grade(score=1.0)] * 16, [Grade(score=0.0)] * 16
    return GradingFacts(
        kind="answer",
        field="grader",
        incomplete=NO_FAULTS,
        disputed=NO_FAULTS,
        rows=16,
        right=collect_scores(right),
        way="<answer>",
        asked={"<answer>": 16},
        unmarked=0,
        misnamed=(),
        untried="",
        must_know=True,
        empty=collect_scores(wrong),
        nonsense=collect_scores(wrong),
        trivial={},
        every=collect_scores([*right, *wrong, *wrong] * 2),
        repetition=Repetition(answers=48, changed=0, largest=0.0),
        seconds_per_answer=0.001,
        requests=Requests(per_answer=0, tokens_per_answer=None, per_step=0, per_step_at_most=0, per_run=0),
    )


@pytest.fixture
def sampling() -> SamplingFacts:
    grades = [Grade(score=float(index % 2), answer_ok=index % 2 == 1, format_ok=True) for index in range(64)]
    return SamplingFacts(
        prompts=8,
        samples=8,
        scores=collect_scores(grades),
        prompt_rates=(0.5,) * 8,
        groups_with_signal=8,
        has_signal=True,
        truncated=0.0,
        mean_tokens=10.0,
        different_texts=0.9,
        shown=(),
    )


@pytest.fixture
def timings() -> Timings:
    return Timings(groups=8, answers=64, sampling_s=2.0, grading_s=0.5, forward_s=1.0, signal_share=0.5)


@pytest.fixture
def work() -> Work:
    return Work(rounds=1, estimates=0, updates=1, is_saving=True)


@pytest.fixture
def report(config: RunConfig, summary: DataSummary, grading: GradingFacts, sampling: SamplingFacts) -> Report:
    return Report(config=config, data=summary, grading=grading, sampling=sampling)
