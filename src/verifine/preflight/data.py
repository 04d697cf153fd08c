"""The check's findings about the data of a run."""

from __future__ import annotations

from collections.abc import Iterator

from verifine.config import RunConfig
from verifine.data.summary import DataSummary, Repeats
from verifine.insights.findings import Finding, Severity
from verifine.insights.inference import wilson_interval
from verifine.insights.outcome import pluralize
from verifine.preflight.shortening import shorten

MANY_DUPLICATES = 0.1
FEW_HELD_OUT = 20
MANY_EPOCHS = 20


def judge_data(summary: DataSummary, config: RunConfig) -> list[Finding]:
    return [
        *_duplicates(summary),
        *_overlap(summary),
        *_constant_reference(summary),
        *_held_out(summary),
        *_fields(summary),
        *_epochs(summary, config),
    ]


def _duplicates(summary: DataSummary) -> Iterator[Finding]:
    repeated = summary.duplicates
    if not repeated.count:
        return
    share = repeated.count / summary.train_rows
    yield Finding(
        severity=Severity.WARNING if share > MANY_DUPLICATES else Severity.NOTE,
        name="duplicates",
        what=f"{pluralize(repeated.count, 'row')} of {summary.train_rows} repeat the question of another row.",
        evidence=_pairs(repeated, "repeats"),
        remedies=("Remove them (data.train), unless these questions should count for more.",),
    )


def _overlap(summary: DataSummary) -> Iterator[Finding]:
    overlap = summary.overlap
    if not overlap.count:
        return
    yield Finding(
        severity=Severity.WARNING,
        name="overlap",
        what=f"{pluralize(overlap.count, 'held-out row')} of {summary.held_out_rows} are also training rows, so the "
        "held-out results will look better than they are.",
        evidence=_pairs(overlap, "is"),
        remedies=("Remove these rows from data.eval or from data.train.",),
    )


def _constant_reference(summary: DataSummary) -> Iterator[Finding]:
    if summary.constant_reference is None:
        return
    yield Finding(
        severity=Severity.WARNING,
        name="constant_reference",
        what="All rows have the same right answer, so the model can learn it without reading the question.",
        evidence=f"the right answer is {shorten(summary.constant_reference)} in {pluralize(summary.train_rows, 'row')}",
        remedies=("Give rows with different answers (data.train), or check how the file was made.",),
    )


def _held_out(summary: DataSummary) -> Iterator[Finding]:
    rows = summary.held_out_rows
    if rows == 0:
        yield Finding(
            severity=Severity.WARNING,
            name="nothing_held_out",
            what="No rows are held out, so the run cannot show whether the model gets better on new prompts.",
            evidence=f"{pluralize(summary.train_rows, 'row')} to train on",
            remedies=("Give data.eval, or at least 20 rows in data.train with data.eval_size above 0.",),
        )
    elif rows < FEW_HELD_OUT:
        low, high = wilson_interval(rows // 2, rows)
        yield Finding(
            severity=Severity.NOTE,
            name="few_held_out",
            what=f"Only {pluralize(rows, 'row')} are held out; small improvements will not show.",
            evidence=f"{rows // 2} of {rows} right would mean anything from {low:.0%} to {high:.0%}",
            remedies=("Hold out more (data.eval, data.eval_size).",),
        )


def _fields(summary: DataSummary) -> Iterator[Finding]:
    partial = {name: rows for name, rows in summary.fields.items() if rows < summary.train_rows}
    if not partial:
        return
    yield Finding(
        severity=Severity.NOTE,
        name="partial_fields",
        what="Not every row has every field.",
        evidence=", ".join(f"{name} in {rows} of {summary.train_rows}" for name, rows in partial.items()),
        remedies=(),
    )


def _epochs(summary: DataSummary, config: RunConfig) -> Iterator[Finding]:
    if config.run.steps is None:
        return
    drawn = config.run.steps * config.sampling.prompts_per_step
    if drawn <= MANY_EPOCHS * summary.train_rows:
        return
    yield Finding(
        severity=Severity.NOTE,
        name="many_epochs",
        what=f"Every prompt will be asked about {drawn // summary.train_rows} times; the model may learn the rows by "
        "heart.",
        evidence=f"{config.run.steps} steps of {config.sampling.prompts_per_step} prompts, "
        f"{pluralize(summary.train_rows, 'row')}",
        remedies=("Give more rows (data.train), or take fewer steps (run.steps).",),
    )


def _pairs(repeats: Repeats, verb: str) -> str:
    shown = [f"{later} {verb} {earlier}" for later, earlier in repeats.first]
    more = repeats.count - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)
