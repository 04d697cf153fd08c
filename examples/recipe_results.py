"""What came of a recipe: `examples/NAME/result.json`, made from the runs of its sweep, and what is computed from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from verifine.insights.held_out import interval_of
from verifine.insights.outcome import pluralize
from verifine.insights.pairs import pair_up
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import EvaluatedSample, Evaluation, Measure, decisive
from verifine.runs.record import RunRecord, read_run

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Greedy answers to the held-out rows, before or after training."""

    score: float
    interval: Interval | None
    format_share: float | None
    """Of the answers in the right format; None: the grader does not judge it."""
    well_formed: float | None
    """The score of those answers alone; None: there are none, or it is not judged."""
    others: float | None
    """The score of the other answers; None likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """One run of a recipe."""

    seed: int
    steps: int
    minutes: float
    base: HeldOut
    tuned: HeldOut
    difference: float
    interval: Interval | None
    p_value: float
    rewards: tuple[float | None, ...]
    """Of each step's sampled answers."""

    @property
    def gain_by_form(self) -> float | None:
        """The part of the difference that better form brings, at the base's scores; the rest is better answers.

        With f the share of well-formed answers, w their score and o that of the others, before (0) and after (1):
        (f1 - f0) (w0 - o0), the first term of the decomposition of Kitagawa (1955). None: it is not known.
        """
        base, tuned = self.base, self.tuned
        if base.format_share is None or tuned.format_share is None or base.well_formed is None:
            return None
        return (tuned.format_share - base.format_share) * (base.well_formed - (base.others or 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeResult:
    """All runs of a recipe."""

    measure: Measure
    problems: int
    machine: str
    runs: tuple[SeedResult, ...]


_RESULT = TypeAdapter(RecipeResult)


def read_result(path: Path) -> RecipeResult:
    return _RESULT.validate_json(path.read_bytes())


def write_result(path: Path, result: RecipeResult) -> None:
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")


def result_of_runs(folders: Sequence[Path]) -> RecipeResult:
    """What the finished runs in these folders say, by seed."""
    records = [read_run(RunDirectory.open(folder)) for folder in folders]
    measures, problems, runs = set(), set(), []
    for record in sorted(records, key=lambda record: record.config.run.seed):
        before, after = record.baseline, record.final
        if before is None or after is None:
            raise SystemExit(f"{record.name} has not finished; let `verifine resume` finish it")
        measure = decisive(before, after)
        if measure is None:
            raise SystemExit(f"{record.name} has no held-out results; set data.eval")
        pairing = pair_up(before, after)
        measures.add(measure)
        problems.add(len(pairing.pairs))
        runs.append(
            SeedResult(
                seed=record.config.run.seed,
                steps=record.steps,
                minutes=round(sum(report.metrics["step_time"] for report in record.metrics) / 60, 1),
                base=_held_out(before, measure),
                tuned=_held_out(after, measure),
                difference=pairing.difference or 0.0,
                interval=pairing.interval,
                p_value=pairing.p_value,
                rewards=tuple(report.metrics.get("reward") for report in record.metrics),
            )
        )
    (one_measure,), (one_size,) = measures, problems
    return RecipeResult(measure=one_measure, problems=one_size, machine=_machine(records[0]), runs=tuple(runs))


def _machine(record: RunRecord) -> str:
    environment = record.environment
    return "" if environment is None else f"{pluralize(environment.cores, 'core')} of {environment.cpu}"


def _held_out(evaluation: Evaluation, measure: Measure) -> HeldOut:
    samples, score = evaluation.samples, evaluation.average(measure)
    assert score is not None
    return HeldOut(
        score=score,
        interval=interval_of(evaluation, measure),
        format_share=evaluation.format_accuracy,
        well_formed=_mean([sample for sample in samples if sample.format_ok], measure),
        others=_mean([sample for sample in samples if sample.format_ok is False], measure),
    )


def _mean(samples: Sequence[EvaluatedSample], measure: Measure) -> float | None:
    values = [value for sample in samples if (value := sample.value(measure)) is not None]
    return sum(values) / len(values) if values else None
