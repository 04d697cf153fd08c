"""`/api/jobs/{id}/stream`: server-sent events that go on where a client left off, whoever restarted meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel, JsonValue

from verifine.errors import VerifineError
from verifine.insights.held_out import evaluation_numbers
from verifine.runs.evaluations import Evaluation
from verifine.runs.jsonl import finite
from verifine.service.access.caller import Caller
from verifine.service.access.key_store import KeyStore
from verifine.service.http.job_objects import JobEventObject
from verifine.service.http.keys import CurrentCaller
from verifine.service.jobs.store import JobStore
from verifine.service.limits import ServiceLimits
from verifine.service.run_views.run_follower import (
    EvaluationsPart,
    EventsPart,
    StatePart,
    StepsPart,
    StreamPart,
    read_run_news,
)
from verifine.service.run_views.sources import FoundRun, RunSources
from verifine.service.run_views.stream_cursor import StreamCursor, StreamCursorError
from verifine.wire.api_error import ApiError, ErrorBody, invalid_request

POLL_S = 0.5
PING_S = 15.0
CHECK_S = 2.0
"""How long a stream goes on at most when its key has ended."""
RETRY_MS = 2000
"""How long a client waits before it comes back."""


class StreamedState(BaseModel):
    """Of the messages `state` and `end`, after which nothing comes."""

    state: str


class StreamedEvents(BaseModel):
    """Of the message `events`: what happened, oldest first."""

    events: list[JobEventObject]


class StreamedStep(BaseModel):
    """The numbers of a step; null: not finite."""

    step: int
    metrics: dict[str, float | None]


class StreamedSteps(BaseModel):
    """Of the message `steps`."""

    rewound_to: int | None
    """Forget every step after this one first: the run went back to a checkpoint. null: it did not."""
    steps: list[StreamedStep]


class EvaluationView(BaseModel):
    """An evaluation on held-out problems."""

    name: str
    """`baseline`, `final`, or `step-` and the number of training steps before it."""
    numbers: dict[str, JsonValue]
    """As `verifine eval --json` prints them: averages, and 95 % intervals over problems."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> EvaluationView:
        numbers: Any = finite(evaluation_numbers(evaluation))
        return cls(name=evaluation.name, numbers=numbers)


class StreamedEvaluations(BaseModel):
    """Of the message `evaluations`."""

    rewound_to: int | None
    """Forget every evaluation after this step first, and after step 0 also the baseline. null: nothing."""
    evaluations: list[EvaluationView]


class StreamedFault(BaseModel):
    """Of the message `fault`, which ends a stream: the files of the run cannot be read."""

    message: str


MESSAGES = (StreamedState, StreamedEvents, StreamedSteps, StreamedEvaluations, StreamedFault)

MessageName = Literal["state", "end", "events", "steps", "evaluations", "fault"]


class EventStream(StreamingResponse):
    """Server-sent events, which no proxy may keep."""

    media_type = "text/event-stream"


class StreamRoutes:
    """The routes over the runs of jobs. A client costs what it has not read yet of one part."""

    def __init__(
        self,
        sources: RunSources,
        jobs: JobStore,
        keys: KeyStore,
        limits: ServiceLimits,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._sources, self._jobs, self._keys, self._limits = sources, jobs, keys, limits
        self._is_stopping = is_stopping
        self._open = Counter[str]()
        """By owner."""

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api/jobs", tags=["Runs"])
        router.add_api_route("/{job_id}/stream", self.stream, methods=["GET"], response_class=EventStream)
        return router

    async def stream(
        self, job_id: str, caller: CurrentCaller, last_event_id: Annotated[str | None, Header()] = None
    ) -> EventStream:
        """Follows a job until it has ended: messages `state`, `events`, `steps`, `evaluations`, and `end` as the last.

        Each has an id. A client that comes back with the last one in `Last-Event-ID` loses no message and gets none
        twice, also after a restart of the service.
        """
        cursor = _cursor(last_event_id)
        await asyncio.to_thread(self._sources.find, caller, job_id)
        own = self._open[caller.owner_id]
        if own >= self._limits.owner_streams or self._open.total() >= self._limits.streams:
            raise _too_many_streams(own)
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return EventStream(self._send(caller, job_id, cursor), headers=headers)

    async def _send(self, caller: Caller, job_id: str, cursor: StreamCursor) -> AsyncIterator[bytes]:
        self._open[caller.owner_id] += 1
        try:
            yield format_sse_event(retry=RETRY_MS)
            sent_at = checked_at = time.monotonic()
            while not self._is_stopping():
                if time.monotonic() - checked_at >= CHECK_S:
                    if not await asyncio.to_thread(self._keys.is_usable, caller.key_id):
                        return
                    checked_at = time.monotonic()
                parts = await asyncio.to_thread(self._read, caller, job_id, cursor)
                for name, message, cursor in parts:
                    yield format_sse_event(event=name, data_str=message.model_dump_json(), id=str(cursor))
                    sent_at = time.monotonic()
                    if name in ("end", "fault"):
                        return
                if time.monotonic() - sent_at >= PING_S:
                    yield format_sse_event(comment="ping")
                    sent_at = time.monotonic()
                await asyncio.sleep(0 if parts else POLL_S)
        finally:
            self._open[caller.owner_id] -= 1

    def _read(
        self, caller: Caller, job_id: str, cursor: StreamCursor
    ) -> list[tuple[MessageName, BaseModel, StreamCursor]]:
        try:
            found: FoundRun = self._sources.find(caller, job_id)
            news = read_run_news(found, self._jobs.list_events_after, cursor)
            return [(*_describe(part), after) for part, after in news]
        except (VerifineError, OSError):
            return [("fault", StreamedFault(message="the files of the run cannot be read"), cursor)]


def _describe(part: StreamPart) -> tuple[MessageName, BaseModel]:
    match part:
        case StatePart(state=state, is_final=is_final):
            return ("end" if is_final else "state"), StreamedState(state=state)
        case EventsPart(events=events):
            return "events", StreamedEvents(events=[JobEventObject.of(event) for event in events])
        case StepsPart(rewound_to=rewound_to, steps=steps):
            rows = [StreamedStep(step=step.step, metrics=dict(step.metrics)) for step in steps]
            return "steps", StreamedSteps(rewound_to=rewound_to, steps=rows)
        case EvaluationsPart(rewound_to=rewound_to, evaluations=evaluations):
            views = [EvaluationView.of(evaluation) for evaluation in evaluations]
            return "evaluations", StreamedEvaluations(rewound_to=rewound_to, evaluations=views)


def _cursor(last_event_id: str | None) -> StreamCursor:
    if not last_event_id:
        return StreamCursor()
    try:
        return StreamCursor.parse(last_event_id)
    except StreamCursorError as error:
        raise invalid_request(str(error), param="Last-Event-ID") from error


def _too_many_streams(count: int) -> ApiError:
    message = f"no more streams ({count} of yours are open); close one, or ask /api/jobs/ID/metrics now and then"
    body = ErrorBody(message=message, type="requests", param=None, code="rate_limit_exceeded")
    return ApiError(429, body, {"retry-after": "5"})
