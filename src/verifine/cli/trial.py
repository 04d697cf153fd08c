"""What `verifine grade test` finds out: a grader tried on a dataset, or on the saved answers of a run."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from verifine.cli.grading import Means, grade_all, open_grader
from verifine.config import AnyGrader, RunConfig, load_config
from verifine.config.dataset import parse_location
from verifine.data import read_examples
from verifine.data.suggestion import did_you_mean
from verifine.errors import ConfigError, DataError
from verifine.graders import load_grader_config
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
from verifine.machine.disk import write_whole
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import read_environment
from verifine.types import Example, Sample

SHOWN_DISAGREEMENTS = 5

RECORDED, RESCORED = "recorded", "this grader"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A grader, and the scores it gave."""

    grader: AnyGrader
    place: str
    """What was graded, such as `12 rows of train.jsonl`."""
    series: Mapping[str, Scores]
    """By what was graded; what the trial is about comes first."""
    graded: int
    """Answers, those of all series and those that were not the best together."""
    seconds: float
    probes: Sequence[ProbeResult] = ()
    """The best result of each row and probe; empty: saved answers were graded."""
    agreement: Agreement | None = None
    """None: there was nothing to compare with."""
    left_out: int = 0
    """Saved answers whose row is not in the dataset."""

    @property
    def bins(self) -> Bins:
        return Bins.over(*self.series.values())

    @property
    def best_ways(self) -> list[tuple[str, int]]:
        """In how many rows each way of writing the right answer was the best, the most frequent first."""
        right = (result for result in self.probes if result.attempt.probe is Probe.RIGHT)
        return Counter(result.attempt.way for result in right if result.grade.score is not None).most_common()

    def draw(self, path: Path) -> None:
        """The histogram as a PNG."""
        from verifine.insights.charts import to_png
        from verifine.insights.score_plot import draw_scores

        write_whole(path, to_png(draw_scores(f"{self.grader.name} on {self.place}", self.series)))


def check_plot(path: Path | None) -> None:
    """ConfigError if an image cannot be written there."""
    if path is not None and path.suffix.lower() != ".png":
        raise ConfigError(f"--plot: {path} must end in .png, for it is a PNG image")
    if path is not None and path.is_dir():
        raise ConfigError(f"--plot: {path} is a folder; give the name of a file in it")


def probe_data(spec: str, data: Path, field: str | None, means: Means, limit: int | None) -> Trial:
    """Grades each row's answer (its own, or else the right one) beside empty text and nonsense."""
    config = load_grader_config(spec)
    examples = read_examples(parse_location(str(data)))
    rows = spread(examples, limit)
    attempts = [attempt for row in rows for attempt in plan_attempts(config.traits, row, field)]
    if field is not None and all(attempt.probe is not Probe.OWN for attempt in attempts):
        raise DataError(f'{data}: no row has a text called "{field}"{did_you_mean(field, rows[0].item)}')
    with open_grader(config, means.services(), spec) as grader:
        graded = grade_all(grader, [attempt.sample for attempt in attempts])
    pairs = zip(attempts, graded.grades, strict=True)
    best = keep_best(ProbeResult(attempt=attempt, grade=grade) for attempt, grade in pairs)
    grades = {probe: [each.grade for each in best if each.attempt.probe is probe] for probe in Probe}
    return Trial(
        grader=config,
        place=f"{_counted(len(rows), len(examples), 'row')} of {data}",
        series={probe.value: collect_scores(grades[probe]) for probe in Probe if grades[probe]},
        graded=len(attempts),
        seconds=graded.seconds,
        probes=best,
    )


def rescore_run(run_dir: Path, spec: str | None, data: Path | None, means: Means, limit: int | None) -> Trial:
    """Grades the saved answers of a run with its own grader or another one, and compares the scores."""
    directory = RunDirectory.open(run_dir)
    run = load_config(directory.config)
    saved = read_saved_rollouts(directory.rollouts)
    chosen = spread(saved, limit)
    if spec is None and directory.environment.exists() and read_environment(directory.environment).own_grader:
        raise ConfigError("the run was graded by a Python program's own function, which is not saved; give --grader")
    grader, rows = _materials(run, None if spec is None else load_grader_config(spec), data)
    wanted = {row_id for rollout in chosen for row_id in row_ids(rollout.prompt_id)}
    items = {row_id: row.item for row_id, row in rows if row_id in wanted}
    owners = [(rollout, find_item(rollout.prompt_id, items)) for rollout in chosen]
    found = [(rollout, item) for rollout, item in owners if item is not None]
    if not found:
        raise DataError(
            f"{data or run_dir}: none of the {len(chosen)} saved answers belongs to one of these rows (the first is to "
            f'the row "{chosen[0].prompt_id}"); give --data the file that the run was trained on'
        )
    samples = [Sample(output_text=rollout.text, item=item) for rollout, item in found]
    with open_grader(grader, means.services(run.grading), spec or str(directory.config)) as scoring:
        graded = grade_all(scoring, samples)
    rescored = [
        Rescored(rollout=rollout, grade=grade) for (rollout, _), grade in zip(found, graded.grades, strict=True)
    ]
    return Trial(
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
    """At most `limit` of them (None: all), from the first on, at even distances."""
    wanted = len(values) if limit is None else min(limit, len(values))
    return [values[position * len(values) // wanted] for position in range(wanted)]


def _materials(
    run: RunConfig, grader: AnyGrader | None, data: Path | None
) -> tuple[AnyGrader, Iterator[tuple[str, Example]]]:
    """The grader and the rows by their ids: those that were given, else those the run was trained with."""
    grader = grader or run.grader
    if grader is not None and data is not None:
        return grader, _rows_of(data, run)
    from verifine.launch.inputs import load_inputs

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
