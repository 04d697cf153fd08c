"""The results of a sweep so far, from its run directories."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.errors import ConfigError
from verifine.insights.comparison.sweep_results import SweepResults, compare_sweep
from verifine.insights.comparison.variants import Variant
from verifine.launch.sweep.execute import find_record
from verifine.launch.sweep.folder import Sweep, SweepFolder
from verifine.launch.sweep.planned import PlannedRun, by_variant
from verifine.runs.record import RunRecord


def find_results(folder: SweepFolder, sweep: Sweep) -> SweepResults | None:
    """None: no run has made a step yet."""
    records, notes = list[tuple[PlannedRun, RunRecord | None]](), list[str]()
    for run in sweep.runs:
        try:
            records.append((run, find_record(folder.run(run))))
        except ConfigError as error:
            notes.append(f"{run.name} is left out: {' '.join(str(error).split())}")
    usable = {run.name: record for run, record in records if record is not None and record.metrics}
    grouped = by_variant(sweep.runs)
    variants = [
        Variant(name=name, runs=found)
        for name, runs in grouped.items()
        if (found := tuple(usable[run.name] for run in runs if run.name in usable))
    ]
    planned = {name: len(runs) for name, runs in grouped.items()}
    return compare_sweep(variants, planned, [*notes, *_notes(records)]) if variants else None


def _notes(records: Sequence[tuple[PlannedRun, RunRecord | None]]) -> list[str]:
    """What is missing of the runs that are not complete."""
    waiting = [run.name for run, record in records if record is None]
    notes = [f"Not begun: {', '.join(waiting)}."] if waiting else []
    for run, record in records:
        if record is None or record.status.status.is_complete:
            continue
        state = record.status.status.replace("_", " ")
        reason = "" if record.status.message is None else f" ({record.status.message.splitlines()[0]})"
        notes.append(f"{run.name}: {state} after step {record.steps}{reason}.")
    return notes
