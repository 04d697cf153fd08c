"""The report of a run: one HTML file without external files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from verifine.insights.diagnosis.describe import describe_evidence, describe_steps
from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.diagnosis.success import describe_success
from verifine.insights.held_out import MetricWithInterval, metrics_with_intervals
from verifine.insights.outcome import (
    describe_changes,
    describe_duration,
    describe_interval,
    describe_outcome,
    describe_pairing,
    pluralize,
)
from verifine.insights.pages import render_page
from verifine.insights.pairs import Pairing, ProblemPair, pair_up
from verifine.insights.plots import draw_signal, draw_timing, draw_training
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.runs.metrics import Metric, explain_metrics
from verifine.runs.record import RunRecord, read_run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """A row of the table of held-out results; texts, ready to print."""

    name: str
    before: str
    before_interval: str
    after: str
    after_interval: str
    change: str


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
        measures=_measures(baseline, final),
        problems=pluralize(
            max((len(evaluation.problems) for _, evaluation in record.evaluations), default=0), "problem"
        ),
        manner=_manner(record),
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


def _measures(before: Evaluation | None, after: Evaluation | None) -> list[_Measure]:
    old, new = (
        {each.name: each for each in metrics_with_intervals(given)} if given else {} for given in (before, after)
    )
    return [_measure(name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new])]


def _measure(name: str, old: MetricWithInterval | None, new: MetricWithInterval | None) -> _Measure:
    return _Measure(
        name=name,
        before="" if old is None else f"{old.value:.2f}",
        before_interval=_interval(old),
        after="" if new is None else f"{new.value:.2f}",
        after_interval=_interval(new),
        change="" if old is None or new is None else f"{new.value - old.value:+.2f}",
    )


def _interval(standing: MetricWithInterval | None) -> str:
    return "" if standing is None or standing.interval is None else describe_interval(standing.interval)


def _manner(record: RunRecord) -> str:
    """How the held-out problems were answered."""
    last = record.evaluations[-1][1] if record.evaluations else None
    if last is None or last.answers_each <= 1:
        return "answered greedily"
    return f"answered {last.answers_each} times each at temperature {last.temperature:g}"


def _changes(pairing: Pairing | None) -> str | None:
    if pairing is None or not pairing.pairs:
        return None
    return f"{describe_changes(pairing)}. {describe_pairing(pairing)}"


def _example(pair: ProblemPair) -> dict[str, object]:
    return {
        "change": pair.change.value,
        "prompt": pair.before.prompt,
        "gold": pair.before.gold,
        "answers": [("Before", pair.before, _verdict(pair.before)), ("After", pair.after, _verdict(pair.after))],
    }


def _verdict(sample: EvaluatedSample) -> str:
    if sample.score is None:
        return "unscorable"
    reward = f"reward {sample.score:.2f}"
    if sample.answer_ok is None:
        return reward
    return f"{'right' if sample.answer_ok else 'wrong'}, {reward}"


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
