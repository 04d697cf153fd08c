"""A trial for programs."""

from __future__ import annotations

from verifine.cli.trial import Trial
from verifine.insights.rescoring import Agreement, Rescored
from verifine.types import Json


def trial_numbers(trial: Trial) -> dict[str, Json]:
    """What `verifine grade test --json` prints."""
    bins = trial.bins
    scores: dict[str, Json] = {
        name: {**each.numbers(), "histogram": list(bins.count(each.scored))} for name, each in trial.series.items()
    }
    return {
        "grader": {"name": trial.grader.name, "type": trial.grader.type},
        "graded": trial.graded,
        "seconds": trial.seconds,
        "bin_edges": list(bins.edges),
        "scores": scores,
        "best_ways": dict(trial.best_ways),
        "agreement": None if trial.agreement is None else _agreement_numbers(trial.agreement),
        "left_out": trial.left_out,
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
