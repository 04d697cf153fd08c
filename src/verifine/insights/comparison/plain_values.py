"""A comparison as plain values: `compare.json` and `--json`."""

from __future__ import annotations

from dataclasses import asdict

from verifine.insights.comparison.curves import Curve
from verifine.insights.comparison.run_comparison import Entry, RunComparison
from verifine.insights.smoothing import SMOOTHING
from verifine.types import Json


def comparison_numbers(comparison: RunComparison) -> dict[str, Json]:
    """Everything, for programs; null: not known."""
    names = [entry.variant.name for entry in comparison.entries]
    return {
        "smoothing": SMOOTHING,
        "differences": [
            {"key": row.key, "values": dict(zip(names, row.values, strict=True))} for row in comparison.differences
        ],
        "variants": [_entry(entry) for entry in comparison.entries],
        "verdicts": [asdict(verdict) for verdict in comparison.verdicts],
        "notes": list(comparison.notes),
    }


def _entry(entry: Entry) -> dict[str, Json]:
    runs: list[Json] = [
        {"name": run.name, "seed": run.config.run.seed, "steps": run.steps, "ending": run.ending}
        for run in entry.variant.runs
    ]
    curves: dict[str, Json] = {metric: _curve(curve) for metric, curve in entry.curves.items()}
    return {"name": entry.variant.name, "runs": runs, "result": asdict(entry.result), "curves": curves}


def _curve(curve: Curve) -> dict[str, Json]:
    """As columns; `n` is the number of runs with the step."""
    return {
        "common_until": curve.common_until,
        "step": [point.step for point in curve.points],
        "mean": [point.mean for point in curve.points],
        "min": [point.low for point in curve.points],
        "max": [point.high for point in curve.points],
        "n": [point.runs for point in curve.points],
    }
