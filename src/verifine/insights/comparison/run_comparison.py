"""Several runs, read and compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from verifine.errors import ConfigError
from verifine.insights.comparison.curves import Curve, draw_together
from verifine.insights.comparison.results import VariantResult, sum_up
from verifine.insights.comparison.variants import Difference, Variant, find_differences, find_variants
from verifine.insights.comparison.verdicts import VariantVerdict, judge_variants
from verifine.insights.inference import Conclusion
from verifine.insights.outcome import pluralize
from verifine.insights.panels import PANELS
from verifine.runs.directory import RunDirectory
from verifine.runs.record import RunRecord, read_run

_MACHINE = ("verifine", "torch", "transformers", "cpu", "cores")
"""The parts of an environment that can change a run's speed or its numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A variant with everything that is reported about it."""

    variant: Variant
    curves: Mapping[str, Curve]
    """By metric, without metrics that no run has."""
    result: VariantResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """The result of `verifine compare`."""

    entries: tuple[Entry, ...]
    differences: tuple[Difference, ...]
    verdicts: tuple[VariantVerdict, ...]
    notes: tuple[str, ...]
    """Caveats about the numbers, as sentences."""


def read_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read run directories; runs whose folders have the same name are told apart by their paths.

    Raises:
        ConfigError: a path is no run directory, has no step yet, or is given twice.
    """
    twice = [path for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if twice:
        raise ConfigError(f"{twice[0]}: this run is given twice; give each run once")
    runs = [_read(path) for path in paths]
    names = Counter(run.name for run in runs)
    return [
        run if names[run.name] == 1 else replace(run, name=str(path)) for run, path in zip(runs, paths, strict=True)
    ]


def compare_runs(runs: Sequence[RunRecord], labels: Sequence[str] = ()) -> RunComparison:
    """Group runs into variants, and compare these.

    Raises:
        ConfigError: there are labels, but not one for each variant.
    """
    return compare_variants(find_variants(runs, labels))


def compare_variants(variants: Sequence[Variant]) -> RunComparison:
    """What differs between variants, how each did, and which is better than the first."""
    differences = find_differences(variants)
    verdicts = judge_variants(variants)
    notes = [
        *_notes_on_runs(variants),
        *_notes_on_verdicts(variants, verdicts),
        *_notes_on_graders(differences),
        *_notes_on_machines([run for variant in variants for run in variant.runs]),
    ]
    return RunComparison(
        entries=tuple(Entry(variant=variant, curves=_curves(variant), result=sum_up(variant)) for variant in variants),
        differences=tuple(differences),
        verdicts=tuple(verdicts),
        notes=tuple(notes),
    )


def _read(path: Path) -> RunRecord:
    run = read_run(RunDirectory.open(path))
    if not run.metrics:
        raise ConfigError(f"{path}: no step is done yet, so there is nothing to compare; leave this run out for now")
    return run


def _curves(variant: Variant) -> dict[str, Curve]:
    curves = {panel.metric: draw_together(variant.runs, panel.metric) for panel in PANELS}
    return {metric: curve for metric, curve in curves.items() if curve is not None}


def _notes_on_runs(variants: Sequence[Variant]) -> list[str]:
    notes = []
    for variant in variants:
        waiting = [run.name for run in variant.runs if run.final is None]
        if waiting:
            notes.append(
                f"{variant.name}: {', '.join(waiting)} without a held-out evaluation after training; they "
                "count in the curves so far, but not in the held-out numbers."
            )
        seeds = Counter(run.config.run.seed for run in variant.runs)
        repeated = [str(seed) for seed, times in seeds.items() if times > 1]
        if repeated:
            notes.append(f"{variant.name}: several runs with seed {', '.join(repeated)}; they count as one seed.")
    return notes


def _notes_on_verdicts(variants: Sequence[Variant], verdicts: Sequence[VariantVerdict]) -> list[str]:
    notes = []
    for verdict in verdicts:
        pair = f"{verdict.variant} and {verdict.reference}"
        if verdict.conclusion is Conclusion.NOT_COMPARED:
            notes.append(f"{pair} have no held-out problem in common answered by both, so they are not compared.")
        elif verdict.left_out:
            notes.append(
                f"{pair} are compared on the {pluralize(verdict.problems, 'held-out problem')} that both have; "
                f"{verdict.left_out} that only one has are left out."
            )
    single = [variant.name for variant in variants if len({run.config.run.seed for run in _evaluated(variant)}) == 1]
    if single and verdicts:
        notes.append(
            f"One seed only: {', '.join(single)}. How much of a difference is due to the seed is not known; run two "
            "more seeds of each variant to find out."
        )
    return notes


def _notes_on_graders(differences: Sequence[Difference]) -> list[str]:
    keys = [difference.key for difference in differences if difference.key.startswith("grader.")]
    if not keys:
        return []
    return [f"The variants were not graded alike ({', '.join(keys)}), so their numbers do not measure the same thing."]


def _evaluated(variant: Variant) -> list[RunRecord]:
    return [run for run in variant.runs if run.final is not None]


def _notes_on_machines(runs: Sequence[RunRecord]) -> list[str]:
    environments = [asdict(run.environment) for run in runs if run.environment is not None]
    differing = [name for name in _MACHINE if len({environment[name] for environment in environments}) > 1]
    if not differing:
        return []
    return [f"Not all runs had the same {', '.join(differing)}, so their minutes do not only depend on the method."]
