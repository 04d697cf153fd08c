"""What is new in a run since a reader last looked, without reading it from the start.

A cursor is `(attempt, offset)`. A resume rewinds metrics, rollouts and evaluations to the step of a checkpoint. A
reader that was beyond it is given `Rewound(step)` before the rows that come again, and forgets everything after that
step. Events are never rewound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import Evaluation, read_evaluation, step_of_name
from verifine.runs.events import EventRecord, record_of
from verifine.runs.jsonl import read_rows_from, rows_with_ends
from verifine.runs.metrics import report_of
from verifine.runs.rewind import belongs_to
from verifine.runs.rollouts import step_of_file
from verifine.runs.run_file import read_run_file
from verifine.types import StepReport

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a reader has read one kind of file."""

    attempt: int = 0
    """The attempt that was current; 0: nothing was read yet."""
    offset: int = 0
    """Bytes of a file, or files of a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewound:
    """What comes after this step is to be forgotten; after step 0 everything, an evaluation before training too."""

    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class News(Generic[Row]):
    """The new rows, and where to go on from."""

    rows: tuple[Row | Rewound, ...]
    cursor: Cursor


START = Cursor()


def read_events_since(directory: RunDirectory, cursor: Cursor = START) -> News[EventRecord]:
    rows, offset = read_rows_from(directory.events, cursor.offset)
    attempt = _latest_attempt(directory)
    return News(rows=tuple(map(record_of, rows)), cursor=Cursor(attempt=attempt, offset=offset))


def read_metrics_since(
    directory: RunDirectory, cursor: Cursor = START, *, max_bytes: int | None = None
) -> News[StepReport]:
    """At most about `max_bytes` of them, so that a long run is read in parts; None: all."""

    def read(offset: int) -> tuple[list[StepReport], int]:
        rows, end = read_rows_from(directory.metrics, offset, max_bytes)
        return [report_of(row) for row in rows], end

    def end_of(step: int) -> int:
        end = 0
        for row, after in rows_with_ends(directory.metrics):
            if report_of(row).step > step:
                break
            end = after
        return end

    return _follow(directory, cursor, read, end_of)


def read_rollouts_since(directory: RunDirectory, cursor: Cursor = START) -> News[int]:
    """The steps whose rollouts have been written; `read_rollouts` reads those of a step."""

    def read(offset: int) -> tuple[list[int], int]:
        steps = sorted(step_of_file(path) for path in directory.rollouts.glob("*.jsonl"))
        new = [step for step in steps if step > offset]
        return new, max([offset, *new])

    return _follow(directory, cursor, read, lambda step: step)


def read_evaluations_since(
    directory: RunDirectory, cursor: Cursor = START, *, limit: int | None = None
) -> News[Evaluation]:
    """In the order in which they were made: the baseline, those between steps, the final one. `limit` None: all."""

    def read(offset: int) -> tuple[list[Evaluation], int]:
        paths = sorted(directory.evaluations.glob("*.json"), key=lambda path: step_of_name(path.stem))
        new = paths[offset:] if limit is None else paths[offset : offset + limit]
        return [read_evaluation(path) for path in new], offset + len(new)

    def end_of(step: int) -> int:
        return sum(belongs_to(path, step) for path in directory.evaluations.glob("*.json"))

    return _follow(directory, cursor, read, end_of)


def _follow(
    directory: RunDirectory,
    cursor: Cursor,
    read: Callable[[int], tuple[Sequence[Row], int]],
    end_of: Callable[[int], int],
) -> News[Row]:
    """`read` gives what comes after an offset, and `end_of` the offset after all that belongs to a step.

    What was written up to the step of a resume has stayed as it was, so only a reader that was beyond it is rewound.
    It reads between two looks at the attempts: if one has begun meanwhile, what was read may be of both.
    """
    while True:
        attempts = read_run_file(directory.path).training_attempts
        latest = attempts[-1].number if attempts else 0
        later = [each.from_step or 0 for each in attempts if each.number > cursor.attempt]
        start: int = cursor.offset
        told: tuple[Rewound, ...] = ()
        if later and end_of(min(later)) < cursor.offset:
            start, told = end_of(min(later)), (Rewound(step=min(later)),)
        rows, offset = read(start)
        if _latest_attempt(directory) == latest:
            return News(rows=(*told, *rows), cursor=Cursor(attempt=latest, offset=offset))


def _latest_attempt(directory: RunDirectory) -> int:
    attempts = read_run_file(directory.path).training_attempts
    return attempts[-1].number if attempts else 0
