"""How a grader scores the rows of a dataset, or the saved answers of a run. Nothing here imports torch."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from verifine.config import AnyGrader, RunConfig
from verifine.config.dataset import parse_location
from verifine.data import read_examples
from verifine.data.columns import as_options
from verifine.data.suggestion import did_you_mean
from verifine.errors import ConfigError, DataError, GraderError
from verifine.graders import Grader, Services, build_grader, grade_samples
from verifine.graders.probes import Probe, ProbeResult, keep_best, plan_attempts
from verifine.insights.outcome import pluralize
from verifine.insights.rescoring import (
    HELD_OUT,
    Agreement,
    Rescored,
    find_item,
    measure_agreement,
    read_saved_rollouts,
    row_ids,
)
from verifine.insights.scores import Bins, Scores, collect_scores
from verifine.launch.inputs import load_inputs
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import read_environment
from verifine.runs.run_config import load_run_config
from verifine.types import Example, Grade, Sample

BATCH = 256
"""Answers that are graded between two reports of progress."""
SHOWN_DISAGREEMENTS = 5

RECORDED, RESCORED = "recorded", "this grader"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderReport:
    """A grader, and the scores it gave."""

    grader: AnyGrader
    place: str
    """What was graded, such as `12 rows of train.jsonl`."""
    series: Mapping[str, Scores]
    """By kind of answer; the main one comes first."""
    graded: int
    """All answers that were graded, also those that were not the best."""
    seconds: float
    probes: Sequence[ProbeResult] = ()
    """The best result of each row and probe; empty: saved answers were graded."""
    agreement: Agreement | None = None
    """None: there are no recorded scores to compare with."""
    left_out: int = 0
    """Saved answers to rows that are not in the dataset."""

    @property
    def bins(self) -> Bins:
        return Bins.over(*self.series.values())

    @property
    def best_ways(self) -> list[tuple[str, int]]:
        """How often each way of writing the right answer was the best, the most frequent first."""
        right = (result for result in self.probes if result.attempt.probe is Probe.RIGHT)
        return Counter(result.attempt.way for result in right if result.grade.score is not None).most_common()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """Grades in the order of their samples."""

    grades: tuple[Grade, ...]
    seconds: float
    """For all of them together."""


Progress = Callable[[int, int], None]
"""`f(done, total)`: the number of graded answers, and of all answers."""


def _ignore(_done: int, _total: int) -> None:
    """Does not show progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderUse:
    """How to make a report: what the grader uses, how much is graded, and who is told."""

    services: Services
    limit: int | None = None
    """The largest number of answers or rows to grade, evenly spread; None: all."""
    progress: Progress = _ignore


@contextmanager
def open_grader(config: AnyGrader, services: Services, name: str) -> Iterator[Grader]:
    """The grader, closed at the end.

    Raises:
        GraderError: it cannot be used; the message begins with `name`, the user's name for it.
    """
    try:
        grader = build_grader(config, services)
    except GraderError as error:
        raise GraderError(f"{name}: {error}") from error
    with closing(grader):
        yield grader


def grade_all(grader: Grader, samples: Sequence[Sample], progress: Progress = _ignore) -> Graded:
    """Grades everything in batches."""
    grades: list[Grade] = []
    seconds = 0.0
    for start in range(0, len(samples), BATCH):
        started = time.perf_counter()
        grades += grade_samples(grader, samples[start : start + BATCH])
        seconds += time.perf_counter() - started
        progress(len(grades), len(samples))
    return Graded(grades=tuple(grades), seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedRows:
    """The rows of a dataset that a grader is tried on."""

    data: Path
    """A file, or a dataset on the hub."""
    columns: Mapping[str, str]
    """As `data.columns` of a run."""
    answer_field: str | None
    """The rows' own answers, as a field or a path; None: one of ANSWER_FIELDS."""


def report_on_rows(config: AnyGrader, name: str, rows: GradedRows, use: GraderUse) -> GraderReport:
    """Grades each row's answer (its own, or else the right one), empty text and nonsense.

    `name` is the user's name for the grader.
    """
    data, field = rows.data, rows.answer_field
    examples = read_examples(parse_location(str(data)), rows.columns, write_columns=as_options)
    chosen = spread(examples, use.limit)
    attempts = [attempt for row in chosen for attempt in plan_attempts(config.traits, row, field)]
    if field is not None and all(attempt.probe is not Probe.OWN for attempt in attempts):
        raise DataError(f'{data}: no row has a text called "{field}"{did_you_mean(field, chosen[0].item)}')
    with open_grader(config, use.services, name) as grader:
        graded = grade_all(grader, [attempt.sample for attempt in attempts], use.progress)
    pairs = zip(attempts, graded.grades, strict=True)
    best = keep_best(ProbeResult(attempt=attempt, grade=grade) for attempt, grade in pairs)
    grades = {probe: [each.grade for each in best if each.attempt.probe is probe] for probe in Probe}
    return GraderReport(
        grader=config,
        place=f"{_counted(len(chosen), len(examples), 'row')} of {data}",
        series={probe.value: collect_scores(grades[probe]) for probe in Probe if grades[probe]},
        graded=len(attempts),
        seconds=graded.seconds,
        probes=best,
    )


def report_on_run(
    run_dir: Path, config: AnyGrader | None, name: str | None, data: Path | None, use: GraderUse
) -> GraderReport:
    """Grades the saved answers of a run with its own grader (`config` None) or another one, and compares the scores."""
    directory = RunDirectory.open(run_dir)
    run = load_run_config(directory)
    saved = read_saved_rollouts(directory.rollouts)
    chosen = spread(saved, use.limit)
    if config is None and directory.environment.exists() and read_environment(directory.environment).own_grader:
        raise ConfigError("the run was graded by a Python program's own function, which is not saved; give --grader")
    grader, rows = _grader_and_rows(run, config, data)
    wanted = {row_id for rollout in chosen for row_id in row_ids(rollout.prompt_id)}
    items = {row_id: row.item for row_id, row in rows if row_id in wanted}
    owners = [(rollout, find_item(rollout.prompt_id, items)) for rollout in chosen]
    found = [(rollout, item) for rollout, item in owners if item is not None]
    if not found:
        raise DataError(
            f"{data or run_dir}: none of the {len(chosen)} saved answers belongs to one of these rows (the first is to "
            f'the row "{chosen[0].prompt_id}"); give --data the file that the run was trained on'
        )
    samples = [
        Sample.of(rollout.text, item, opened=rollout.opened, answer_start=rollout.answer_start)
        for rollout, item in found
    ]
    with open_grader(grader, use.services.for_run(run.grading), name or str(directory.config)) as scoring:
        graded = grade_all(scoring, samples, use.progress)
    rescored = [
        Rescored(rollout=rollout, grade=grade) for (rollout, _), grade in zip(found, graded.grades, strict=True)
    ]
    return GraderReport(
        grader=grader,
        place=f"{_counted(len(found), len(saved), 'saved answer')} of {run_dir}",
        series={
            RESCORED: collect_scores(graded.grades),
            RECORDED: collect_scores(rollout.recorded for rollout, _ in found),
        },
        graded=len(samples),
        seconds=graded.seconds,
        agreement=measure_agreement(rescored, SHOWN_DISAGREEMENTS),
        left_out=len(chosen) - len(found),
    )


def spread(values: Sequence[T], limit: int | None) -> list[T]:
    """Up to `limit` of them (None: all), evenly spread, beginning with the first."""
    wanted = len(values) if limit is None else min(limit, len(values))
    return [values[position * len(values) // wanted] for position in range(wanted)]


def _grader_and_rows(
    run: RunConfig, grader: AnyGrader | None, data: Path | None
) -> tuple[AnyGrader, Iterator[tuple[str, Example]]]:
    """The grader and the rows by their ids: those that were given, else those the run was trained with."""
    grader = grader or run.grader
    if grader is not None and data is not None:
        return grader, _rows_of(data, run)
    try:
        inputs = load_inputs(run)
    except DataError as error:
        raise DataError(f"{error}; or give the rows that the run was trained on with --data") from error
    grader = grader or inputs.grader
    if grader is None:
        raise ConfigError("the run was graded by a Python program's own function, which is not saved; give --grader")
    if data is not None:
        return grader, _rows_of(data, run)
    trained = ((row.id, row) for row in inputs.train)
    held_out = ((HELD_OUT + row.id, row) for row in inputs.held_out)
    return grader, itertools.chain(trained, held_out)


def _rows_of(data: Path, run: RunConfig) -> Iterator[tuple[str, Example]]:
    """The rows of a file or hub dataset by their ids, read as the run reads its own."""
    examples = read_examples(parse_location(str(data)), run.data.columns, run.data.system_prompt)
    return ((row.id, row) for row in examples)


def _counted(chosen: int, total: int, noun: str) -> str:
    return pluralize(total, noun) if chosen == total else f"{chosen} of {pluralize(total, noun)}"
