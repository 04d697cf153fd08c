"""What is new about a job since a client last heard of it, in parts that each lead from one cursor to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from verifine.runs.evaluations import Evaluation
from verifine.runs.following import News, Rewound, read_evaluations_since, read_metrics_since
from verifine.runs.status import find_status
from verifine.service.jobs.job import Job, JobEvent
from verifine.service.run_views.sources import FoundRun
from verifine.service.run_views.stream_cursor import StreamCursor
from verifine.types import StepReport

PART_BYTES = 256 << 10
"""Of metrics that are read at once: what a client holds of the service's memory."""
PART_EVENTS = 200
PART_EVALUATIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePart:
    """The job is in another state."""

    state: str
    is_final: bool
    """Nothing comes after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsPart:
    """What happened, oldest first."""

    events: Sequence[JobEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsPart:
    """First everything after the step `rewound_to` is forgotten, unless it is None; then there are new ones."""

    rewound_to: int | None
    steps: Sequence[StepReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationsPart:
    """As StepsPart. After step 0 the evaluation before training is forgotten too."""

    rewound_to: int | None
    evaluations: Sequence[Evaluation]


StreamPart = StatePart | EventsPart | StepsPart | EvaluationsPart

RowT = TypeVar("RowT")

ReadEvents = Callable[[Job, int, int], Sequence[JobEvent]]
"""The events of a job after a number, at most so many."""


def read_run_news(
    found: FoundRun, read_events: ReadEvents, cursor: StreamCursor
) -> Iterator[tuple[StreamPart, StreamCursor]]:
    """Each part with the cursor after it. Nothing: nothing is new.

    `found` is as the job was before anything else is read here. A final state is told once all the rest has been.
    """
    state, is_final = _state_of(found)
    if not is_final and state != cursor.state:
        cursor = replace(cursor, state=state)
        yield StatePart(state=state, is_final=False), cursor
    events = [] if found.job is None else read_events(found.job, cursor.event, PART_EVENTS)
    if events:
        cursor = replace(cursor, event=events[-1].seq)
        yield EventsPart(events=events), cursor
    metrics = read_metrics_since(found.directory, cursor.metrics, max_bytes=PART_BYTES)
    cursor = replace(cursor, metrics=metrics.cursor)
    if metrics.rows:
        rewound_to, steps = _divide(metrics)
        yield StepsPart(rewound_to=rewound_to, steps=steps), cursor
    evaluations = read_evaluations_since(found.directory, cursor.evaluations, limit=PART_EVALUATIONS)
    cursor = replace(cursor, evaluations=evaluations.cursor)
    if evaluations.rows:
        rewound_to, made = _divide(evaluations)
        yield EvaluationsPart(rewound_to=rewound_to, evaluations=made), cursor
    if is_final and not (events or metrics.rows or evaluations.rows):
        yield StatePart(state=state, is_final=True), replace(cursor, state=state)


def _state_of(found: FoundRun) -> tuple[str, bool]:
    """The state of the job, or the status of a run that has none."""
    if found.job is not None:
        return found.job.state, found.job.state.is_final
    status = find_status(found.directory).status
    return status, status.has_ended


def _divide(news: News[RowT]) -> tuple[int | None, list[RowT]]:
    """The step that was gone back to, if any, and the new rows."""
    rewound = [row.step for row in news.rows if isinstance(row, Rewound)]
    return (rewound[0] if rewound else None), [row for row in news.rows if not isinstance(row, Rewound)]
