"""A grader's report for programs."""

from __future__ import annotations

from verifine.insights.rescoring import Agreement, Rescored
from verifine.launch.grader_report import GraderReport
from verifine.types import Json


def grader_report_numbers(report: GraderReport) -> dict[str, Json]:
    """What `verifine grade test --json` prints."""
    bins = report.bins
    scores: dict[str, Json] = {
        name: {**each.numbers(), "histogram": list(bins.count(each.scored))} for name, each in report.series.items()
    }
    return {
        "grader": {"name": report.grader.name, "type": report.grader.type},
        "graded": report.graded,
        "seconds": report.seconds,
        "bin_edges": list(bins.edges),
        "scores": scores,
        "best_ways": dict(report.best_ways),
        "agreement": None if report.agreement is None else _agreement_numbers(report.agreement),
        "left_out": report.left_out,
    }


def _agreement_numbers(agreement: Agreement) -> dict[str, Json]:
    return {
        "count": agreement.count,
        "same": agreement.same,
        "mean_difference": agreement.mean_difference,
        "newly_unscorable": agreement.newly_unscorable,
        "newly_scorable": agreement.newly_scorable,
        "largest": [_rescored_numbers(each) for each in agreement.largest],
    }


def _rescored_numbers(each: Rescored) -> dict[str, Json]:
    return {
        "step": each.rollout.step,
        "prompt_id": each.rollout.prompt_id,
        "sample": each.rollout.sample,
        "recorded": each.rollout.recorded.score,
        "score": each.grade.score,
        "text": each.rollout.text,
    }
