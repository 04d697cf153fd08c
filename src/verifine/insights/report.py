"""The report of a run: one HTML file without external files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from verifine.insights.before_after import describe_judgement, describe_manner, measure_rows
from verifine.insights.diagnosis.describe import describe_evidence, describe_steps
from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.diagnosis.success import describe_success
from verifine.insights.outcome import (
    describe_changes,
    describe_duration,
    describe_outcome,
    describe_pairing,
    pluralize,
)
from verifine.insights.pages import render_page
from verifine.insights.pairs import Pairing, ProblemPair, pair_up
from verifine.insights.plots import draw_signal, draw_timing, draw_training
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.metrics import Metric, explain_metrics
from verifine.runs.record import RunRecord, read_run


def write_report(directory: RunDirectory) -> Path:
    """Write `report.html` from the files of the run directory, whether or not the run is over."""
    page = render_report(read_run(directory))
    write_text(directory.report, page, directory.disk)
    return directory.report


def render_report(record: RunRecord) -> str:
    """The page. Everything a model or a user wrote is escaped."""
    baseline, final = record.baseline, record.final
    pairing = pair_up(baseline, final) if baseline and final else None
    findings = diagnose(record)
    return render_page(
        "report.html.j2",
        record=record,
        outcome=describe_outcome(record),
        facts=_facts(record),
        success=describe_success(record, findings),
        findings=[(finding, describe_evidence(finding), describe_steps(finding.steps)) for finding in findings],
        training_figure=draw_training(record) if record.metrics or record.evaluations else None,
        signal_figure=draw_signal(record),
        timing_figure=draw_timing(record),
        measures=measure_rows(baseline, final),
        problems=pluralize(
            max((len(evaluation.problems) for _, evaluation in record.evaluations), default=0), "problem"
        ),
        manner=describe_manner(record),
        changes=_changes(pairing),
        examples=[_example(pair) for pair in pairing.examples()] if pairing else [],
        environment=_environment(record),
        metrics=_described_metrics(record),
    )


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    config = record.config
    facts = [
        ("Model", record.model_name),
        ("Algorithm", config.algorithm.name.upper()),
        ("Data", config.data.task or str(config.data.train)),
        ("Answers a step", f"{config.sampling.prompts_per_step} prompts × {config.sampling.group_size}"),  # noqa: RUF001
        ("Steps", str(record.steps)),
    ]
    if record.duration_s is not None:
        facts.append(("Time", describe_duration(record.duration_s)))
    return facts


def _changes(pairing: Pairing | None) -> str | None:
    if pairing is None or not pairing.pairs:
        return None
    return f"{describe_changes(pairing)}. {describe_pairing(pairing)}"


def _example(pair: ProblemPair) -> dict[str, object]:
    return {
        "change": pair.change.value,
        "prompt": pair.before.prompt,
        "gold": pair.before.gold,
        "answers": [
            ("Before", pair.before, describe_judgement(pair.before)),
            ("After", pair.after, describe_judgement(pair.after)),
        ],
    }


def _environment(record: RunRecord) -> list[tuple[str, str]]:
    if record.environment is None:
        return []
    environment = record.environment
    named = asdict(environment) | {
        "memory_bytes": f"{environment.memory_bytes / 2**30:.1f} GiB",
        "core_quota": "no limit" if environment.core_quota is None else f"{environment.core_quota:g} cores",
        "threads": "not known" if environment.threads is None else str(environment.threads),
    }
    return [
        (key.removesuffix("_bytes"), "not installed" if value is None else str(value)) for key, value in named.items()
    ]


def _described_metrics(record: RunRecord) -> list[tuple[Metric, str]]:
    """The metrics this run reports, with the last value of each."""
    last_values = {name: value for report in record.metrics for name, value in report.metrics.items()}
    return [(metric, f"{last_values[metric.name]:.4g}") for metric in explain_metrics(last_values)]
