"""A report as plain values: `preflight.json`, the event `checked` and `--json`."""

from __future__ import annotations

from dataclasses import asdict

from verifine.insights.findings import finding_numbers
from verifine.insights.scores import Scores
from verifine.preflight.grading import GradingFacts
from verifine.preflight.memory import MemoryEstimate
from verifine.preflight.report import Report
from verifine.preflight.sampling import SamplingFacts
from verifine.types import Json


def verdict_numbers(report: Report) -> dict[str, Json]:
    """The verdict and the findings."""
    findings: list[Json] = [finding_numbers(finding) for finding in report.findings]
    return {"verdict": report.verdict.value, "findings": findings}


def to_numbers(report: Report) -> dict[str, Json]:
    """Everything, for programs; null: the check did not get that far."""
    return {
        **verdict_numbers(report),
        "data": asdict(report.data),
        "prompts": None if report.lengths is None else asdict(report.lengths),
        "context_length": None if report.model is None else report.model.context_length,
        "grading": _grading(report.grading),
        "second_grading": None if report.second_grading is None else _grading(report.second_grading),
        "sampling": None if report.sampling is None else _sampling(report.sampling, report),
        "model": None if report.model is None else asdict(report.model.shape),
        "memory": None if report.memory is None else _memory(report.memory),
        "pace": None if report.pace is None else {**asdict(report.pace), "step": asdict(report.pace.step)},
    }


def _grading(facts: GradingFacts) -> dict[str, Json]:
    return {
        "kind": facts.kind,
        "incomplete_rows": asdict(facts.incomplete),
        "disputed_rows": asdict(facts.disputed),
        "rows": facts.rows,
        "right": _scores(facts.right),
        "way": facts.way,
        "asked": dict(facts.asked),
        "unmarked": facts.unmarked,
        "misnamed": list(facts.misnamed),
        "empty": _scores(facts.empty),
        "nonsense": _scores(facts.nonsense),
        "trivial": dict(facts.trivial),
        "every": _scores(facts.every),
        "repetition": None if facts.repetition is None else asdict(facts.repetition),
        "seconds_per_answer": facts.seconds_per_answer,
        "requests": asdict(facts.requests),
    }


def _sampling(facts: SamplingFacts, report: Report) -> dict[str, Json]:
    low, high = facts.useful_groups(report.config.sampling.prompts_per_step)
    compares_groups = report.config.compares_within_groups
    return {
        "prompts": facts.prompts,
        "samples": facts.samples,
        "scores": _scores(facts.scores),
        "prompt_rates": list(facts.prompt_rates),
        "prompt_rates_are": "shares of right answers" if facts.judges_answers else "mean scores",
        "groups_with_signal": facts.groups_with_signal,
        "useful_groups_a_step": {"low": low, "high": high} if compares_groups else None,
        "truncated": facts.truncated,
        "mean_tokens": facts.mean_tokens,
        "different_texts": facts.different_texts,
        "shown": [asdict(answer) for answer in facts.shown],
    }


def _memory(memory: MemoryEstimate) -> dict[str, Json]:
    return {
        "place": memory.available.place,
        "available": memory.available.size,
        "lasting": dict(memory.resident),
        "passing": memory.step,
        "passing_at_most": memory.longest_step,
        "budget": asdict(memory.plan),
    }


def _scores(scores: Scores | None) -> Json:
    return None if scores is None else scores.numbers()
