"""All rules together."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from verifine.config import RunConfig, build_config
from verifine.config.graders import AnswerGraderConfig
from verifine.insights.diagnosis.diagnose import apply_rules, diagnose, replay
from verifine.insights.diagnosis.history import RunHistory
from verifine.insights.findings import Finding, Severity
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.runs.metrics import METRICS
from verifine.runs.record import RunRecord
from verifine.types import StepReport

MakeRun = Callable[..., RunRecord]
Findings = Callable[..., dict[str, Finding]]


GOING: dict[str, Any] = {"events": [("started", {})], "is_alive": True}


@pytest.mark.parametrize("steps", [0, 1, 2, 9, 10, 29, 30, 60, 200])
def test_nothing_is_said_of_a_run_that_learns(make_run: MakeRun, steps: int) -> None:
    assert [finding.name for finding in diagnose(make_run(steps=steps, **GOING))] == []


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_nothing_is_said_of_two_steps_however_odd(make_run: MakeRun, noise: float) -> None:
    odd = {name: (lambda step: noise * step) for name in ("reward", "answer_accuracy", "entropy", "kl", "grad_norm")}
    silent = {"frac_reward_zero_std": 1.0, "completions/clipped_ratio": 1.0, "mismatch/mean": 1.0}
    assert not diagnose(make_run({**odd, **silent}, steps=2, **GOING))


def test_the_worst_comes_first(make_run: MakeRun) -> None:
    found = diagnose(make_run({"memory/shortages": 1.0, "completions/clipped_ratio": 0.3, "mismatch/mean": 0.5}))
    assert [finding.severity for finding in found] == [Severity.PROBLEM, Severity.WARNING, Severity.NOTE]


def test_an_evaluation_is_told_after_the_steps_before_it(make_run: MakeRun) -> None:
    """So it stands beside what training was like then: steps 11 to 30, not the last ones."""
    sample = EvaluatedSample(prompt_id="a", prompt="", text="", score=0.5, format_ok=None, answer_ok=None)
    evaluations = [(step, Evaluation(name=f"step-{step}", samples=(sample,))) for step in (0, 30)]
    held_out = replay(make_run({"reward": lambda step: step / 100}, evaluations=evaluations)).held_out
    assert held_out is not None
    assert held_out.training_reward == pytest.approx(sum(range(11, 31)) / 20 / 100)


KEYS = re.compile(r"\b(model|data|grader|grading|algorithm|reward|sampling|optim|run)((?:\.[a-z_]+)+)")
BAD = {
    "too_hard": {"frac_reward_zero_std": 1.0, "answer_accuracy": 0.0},
    "no_signal": {"frac_reward_zero_std": 0.9, "answer_accuracy": 0.5},
    "solved": {"frac_reward_zero_std": 0.9, "answer_accuracy": lambda step: step / 40 if step < 40 else 1.0},
    "much": {
        "entropy": lambda step: 0.5 + step / 10,
        "kl": lambda step: 0.01 * 1.1**step,
        "grad_norm": lambda step: 100.0 if step > 58 else 1.0,
        "clip_ratio/region_mean": 0.9,
        "completions/clipped_ratio": 0.9,
        "completions/mean_length": lambda step: 10.0 + step,
        "mismatch/mean": 1.0,
        "importance/capped_mean": 0.5,
        "critic/explained_variance": -1.0,
        "unscorable": 9.0,
        "grader/timeout_rate": 0.1,
        "grader/error_rate": 0.9,
        "timing/grade_s": 4.0,
        "memory/shortages": 2.0,
        "answer_accuracy": lambda step: 0.8 if step < 30 else 0.1,
        "format_accuracy": lambda step: 0.3 if step < 30 else 1.0,
    },
}


@pytest.mark.parametrize("sections", [{}, {"data": {"train": "x.jsonl"}, "grader": {"type": "answer"}}])
@pytest.mark.parametrize("numbers", BAD.values(), ids=BAD)
def test_every_key_that_a_way_out_names_is_in_the_configuration(
    make_run: MakeRun, numbers: dict[str, object], sections: dict[str, object]
) -> None:
    found = diagnose(make_run(numbers, sections=sections))
    assert found
    for finding in found:
        for change in finding.remedies:
            for section, path in KEYS.findall(change):
                assert _has(section, path.strip(".").split(".")), f"{finding.name}: {section}{path}"


def _has(section: str, keys: list[str]) -> bool:
    schemas: list[type[BaseModel]] = [AnswerGraderConfig] if section == "grader" else _inside(RunConfig, section)
    for place, key in enumerate(keys):
        found = [schema for schema in schemas if key in schema.model_fields]
        if not found:
            return False
        schemas = [each for schema in found for each in _inside(schema, key)]
        assert schemas or place == len(keys) - 1
    return True


def _inside(schema: type[BaseModel], key: str) -> list[type[BaseModel]]:
    annotation = schema.model_fields[key].annotation
    kinds = (annotation, *getattr(annotation, "__args__", ()))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


NAMES = sorted({name for name in METRICS if "<" not in name})
Metrics = st.dictionaries(st.sampled_from(NAMES), st.floats() | st.floats(0, 1), max_size=len(NAMES))


@settings(max_examples=60)
@given(steps=st.lists(Metrics, max_size=8), repeats=st.integers(1, 12))
def test_no_numbers_however_odd_stop_the_rules(steps: list[dict[str, float]], repeats: int) -> None:
    history = RunHistory(build_config({"data": {"task": "add"}}))
    for number, metrics in enumerate(steps * repeats, start=1):
        history.tell(StepReport(step=number, metrics=metrics))
    for finding in apply_rules(history):
        assert finding.what
        assert all(isinstance(value, float) for value in finding.numbers.values())
