"""The results of a sweep: its variants compared, and each over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from verifine.insights.comparison.plain_values import comparison_numbers
from verifine.insights.comparison.results import VariantResult
from verifine.insights.comparison.run_comparison import RunComparison, compare_variants
from verifine.insights.comparison.sections import Section, comparison_sections
from verifine.insights.comparison.seeds import FEW_SEEDS, OverSeeds, VariantSeeds, sum_up_seeds
from verifine.insights.comparison.sentences import Table, describe_range, name_measure
from verifine.insights.comparison.variants import Variant, find_differences
from verifine.insights.comparison.verdicts import common_measure
from verifine.insights.outcome import describe_interval
from verifine.runs.evaluations import NAMES, Measure
from verifine.types import Json

_NONE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResults:
    """What the runs of a sweep say so far."""

    comparison: RunComparison
    measure: Measure
    """What the variants are compared by."""
    seeds: tuple[VariantSeeds, ...]
    """In the order of the comparison; the same for `planned`."""
    planned: tuple[int, ...]
    """How many runs the sweep has of a variant."""


def compare_sweep(variants: Sequence[Variant], planned: Mapping[str, int], notes: Sequence[str] = ()) -> SweepResults:
    """Compares variants, each with the runs that have made a step; `notes` are caveats that the caller knows of."""
    comparison, measure = compare_variants(variants), common_measure(variants)
    seeds = sum_up_seeds(variants, measure)
    notes = [*notes, *comparison.notes, *_notes_on_settings(variants), *_notes_on_seeds(seeds)]
    return SweepResults(
        comparison=replace(comparison, notes=tuple(notes)),
        measure=measure,
        seeds=tuple(seeds),
        planned=tuple(planned[variant.name] for variant in variants),
    )


def sweep_sections(results: SweepResults) -> list[Section]:
    """Everything that is told of the results."""
    heading = f"Held-out {name_measure(results.measure)} before and after training, over seeds"
    return comparison_sections(results.comparison, Section(heading=heading, table=seed_table(results)))


def seed_table(results: SweepResults) -> Table:
    """A row for each variant."""
    names = [entry.variant.name for entry in results.comparison.entries]
    taken = [entry.result for entry in results.comparison.entries]
    rows = zip(names, results.seeds, results.planned, taken, strict=True)
    return Table(
        columns=(
            "variant",
            "seeds",
            name_measure(results.measure),
            "sd",
            "95 % interval",
            "each seed",
            f"minus {names[0]}",
            "steps",
            "minutes",
            "findings (runs)",
        ),
        rows=tuple(_row(*row) for row in rows),
    )


def sweep_numbers(results: SweepResults) -> dict[str, Json]:
    """Everything, for programs: what a comparison has, and for each variant the numbers over seeds."""
    names = [entry.variant.name for entry in results.comparison.entries]
    rows = zip(names, results.seeds, results.planned, strict=True)
    return {
        **comparison_numbers(results.comparison),
        "measure": NAMES[results.measure],
        "over_seeds": {name: {"planned": planned, **_seed_numbers(seeds)} for name, seeds, planned in rows},
    }


def _row(name: str, seeds: VariantSeeds, planned: int, taken: VariantResult) -> tuple[str, ...]:
    after, done = seeds.after, 0 if seeds.after is None else len(seeds.after.values)
    before = _NONE if seeds.before is None else f"{seeds.before:.2f}"
    return (
        name,
        str(done) if done == planned else f"{done} of {planned}",
        _NONE if after is None else f"{before} → {after.mean:.2f}",
        _NONE if after is None or after.deviation is None else f"{after.deviation:.2f}",
        _NONE if after is None or after.interval is None else describe_interval(after.interval),
        _NONE if after is None else " ".join(f"{value:.2f}" for value in after.values.values()),
        _gain(seeds.gain),
        describe_range(taken.steps, 0),
        describe_range(taken.minutes, 1),
        ", ".join(f"{finding} {runs}" for finding, runs in seeds.findings.items()) or _NONE,
    )


def _seed_numbers(seeds: VariantSeeds) -> dict[str, Json]:
    return {
        "before": seeds.before,
        "after": None if seeds.after is None else _numbers(seeds.after),
        "gain": None if seeds.gain is None else _numbers(seeds.gain),
        "findings": dict(seeds.findings),
    }


def _numbers(over: OverSeeds) -> dict[str, Json]:
    values: dict[str, Json] = {str(seed): value for seed, value in over.values.items()}
    return {
        "mean": over.mean,
        "deviation": over.deviation,
        "interval": None if over.interval is None else list(over.interval),
        "by_seed": values,
    }


def _gain(gain: OverSeeds | None) -> str:
    if gain is None:
        return _NONE
    return f"{gain.mean:+.2f}" + ("" if gain.interval is None else f" ({describe_interval(gain.interval)})")


def _notes_on_settings(variants: Sequence[Variant]) -> list[str]:
    notes = []
    for variant in variants:
        each = [Variant(name=run.name, runs=(run,)) for run in variant.runs]
        keys = [difference.key for difference in find_differences(each)]
        if keys:
            notes.append(f"{variant.name}: its runs differ not only in their seed ({', '.join(keys)}).")
    return notes


def _notes_on_seeds(seeds: Sequence[VariantSeeds]) -> list[str]:
    """The bootstrap is honest only about many seeds."""
    if not any(each.after is not None and 1 < len(each.after.values) < FEW_SEEDS for each in seeds):
        return []
    return [
        f"The 95 % intervals are bootstraps over seeds, too narrow with fewer than {FEW_SEEDS} seeds: of three, they "
        "go from the lowest to the highest and hold the true mean three times in four. p (seeds) allows for it."
    ]
