"""What happens in a run: one class a kind, written to `events.jsonl` and told to listeners by one sink."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from verifine.errors import DiskError, StoppedError, VerifineError
from verifine.machine.disk import LOCAL_DISK, Disk
from verifine.machine.failures import describe_exception
from verifine.runs.evaluations import Evaluation
from verifine.runs.jsonl import append_row, end_with_whole_row, read_rows
from verifine.runs.status import DISK_FULL, Status
from verifine.types import Json, StepReport

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened. Subclasses have the facts as fields."""

    kind: ClassVar[str] = ""
    """Its type in `events.jsonl`; empty: it is told to listeners and not written."""

    def row(self) -> dict[str, Json]:
        """The fields that are written."""
        return asdict(self)


Listener = Callable[[RunEvent], None]
"""Told every event as it happens. `match event: case StepDone(report=report): ...` picks what matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBegan(RunEvent):
    """Something that is not a step begins."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress(RunEvent):
    """A file is being fetched."""

    text: str
    done_bytes: int
    total_bytes: int
    """0: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(RunEvent):
    """A step is complete. Its numbers are in `metrics.jsonl`."""

    report: StepReport
    eta_s: float | None
    """How long training may still take; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptBegan(RunEvent):
    """A process takes up the run."""

    kind: ClassVar[str] = "attempt"
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChecked(RunEvent):
    """The check before training is done; everything it found out is in `preflight.json`."""

    kind: ClassVar[str] = "checked"
    verdict: str
    findings: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStarted(RunEvent):
    """Training begins with its first step."""

    kind: ClassVar[str] = "started"
    model: str = ""
    steps: int | None = None
    """None: until the time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResumed(RunEvent):
    """Training continues from a checkpoint."""

    kind: ClassVar[str] = "resumed"
    step: int = 0
    """The step of the checkpoint."""
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationDone(RunEvent):
    """Held-out problems were asked; every answer is in `eval/<name>.json`."""

    kind: ClassVar[str] = "evaluation"
    name: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """As `verifine eval --json` prints them."""
    evaluation: Evaluation | None = field(default=None, repr=False)
    """None: the event was read from the file."""

    def row(self) -> dict[str, Json]:
        return {"name": self.name, "numbers": dict(self.numbers)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved(RunEvent):
    """A checkpoint is complete."""

    kind: ClassVar[str] = "saved"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSaved(RunEvent):
    """`model/` holds the trained model."""

    kind: ClassVar[str] = "model_saved"
    step: int
    """The step that its weights are from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDamaged(RunEvent):
    """A checkpoint was passed over, on resuming or when the best weights were to be the model."""

    kind: ClassVar[str] = "checkpoint_damaged"
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRaised(RunEvent):
    """Something stands out that had not before; the fields are those of `insights.findings.Finding`."""

    kind: ClassVar[str] = "finding"
    name: str
    severity: str
    what: str
    evidence: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[int, int] | None = None
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelsChanged(RunEvent):
    """A run goes on with kernels that round otherwise: its results are no longer those of a run without a break."""

    kind: ClassVar[str] = "kernels_changed"
    before: Mapping[str, str]
    """The facts that differ, as `Attempt.kernels` and `versions` name them."""
    now: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerFailed(RunEvent):
    """A listener raised an exception; the run continues."""

    kind: ClassVar[str] = "listener_failed"
    error: str
    """The exception, and the line that raised it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(RunEvent):
    """The last event of an attempt. Without it the process was killed, or is alive."""

    kind: ClassVar[str] = "ended"
    status: Status
    reason: str | None = None
    """A word for programs, such as `disk_full`; None: the status says it all."""
    error: str | None = None
    """The message; None: there was no error."""
    steps: int | None = None
    """None, here and below: it ended before it could be said."""
    updates: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent(RunEvent):
    """A row of a kind that this version does not know."""

    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event of the file."""

    time: datetime
    event: RunEvent


_KINDS: Mapping[str, TypeAdapter[RunEvent]] = {
    kind.kind: TypeAdapter(kind)
    for kind in (
        AttemptBegan,
        RunChecked,
        TrainingStarted,
        TrainingResumed,
        EvaluationDone,
        CheckpointSaved,
        ModelSaved,
        CheckpointDamaged,
        FindingRaised,
        KernelsChanged,
        ListenerFailed,
        RunEnded,
    )
}


class EventSink:
    """The one place where events go: into the file, readable as soon as `emit` returns, and then to the listeners.

    A listener that raises does not end the run.
    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], datetime],
        disk: Disk = LOCAL_DISK,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """`now` tells the time with its time zone."""
        self.path = path
        self._now, self._disk = now, disk
        self._listeners = tuple(listeners)
        self._failed: list[Listener] = []
        end_with_whole_row(path)

    def emit(self, event: RunEvent) -> None:
        if event.kind:
            time = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
            append_row(self.path, {"time": time, "type": event.kind, **event.row()}, self._disk)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - foreign code, and a run is worth more than who watches it
                self._note_failure(listener, error)

    def _note_failure(self, listener: Listener, error: Exception) -> None:
        """Records that a listener failed, once for each. It is told what follows all the same."""
        if listener in self._failed:
            return
        self._failed.append(listener)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        event = ListenerFailed(error=f"{describe_exception(error)}, at {frame.filename}:{frame.lineno}")
        _LOG.warning("a listener failed, and the run continues: %s", event.error)
        self.emit(event)


def ignore(event: RunEvent) -> None:
    """A listener that does nothing."""


def tell_progress(tell: Listener, text: str, done_bytes: int, total_bytes: int) -> None:
    """What a download calls, as an event."""
    tell(FetchProgress(text=text, done_bytes=done_bytes, total_bytes=total_bytes))


def ended_by(error: BaseException) -> RunEnded:
    """The end of an attempt that was broken off."""
    match error:
        case KeyboardInterrupt() | StoppedError():
            return RunEnded(status=Status.INTERRUPTED)
        case DiskError(is_full=True):
            return RunEnded(status=Status.PAUSED, reason=DISK_FULL, error=str(error))
        case VerifineError():
            return RunEnded(status=Status.FAILED, reason=_code_of(error), error=str(error))
        case _:
            return RunEnded(status=Status.FAILED, reason="internal", error=describe_exception(error))


def read_events(path: Path) -> list[EventRecord]:
    """Every event of the file; none if there is no file. A half-written last line is left out."""
    return [record_of(row) for row in read_rows(path)]


def record_of(row: Mapping[str, Json]) -> EventRecord:
    """The event that a row of the file holds."""
    fields = {name: value for name, value in row.items() if name not in {"time", "type"}}
    return EventRecord(time=datetime.fromisoformat(str(row["time"])), event=_event_of(str(row["type"]), fields))


def last_end(records: Sequence[EventRecord]) -> RunEnded | None:
    """How the latest attempt ended; None: it did not, or was killed."""
    last = records[-1].event if records else None
    return last if isinstance(last, RunEnded) else None


def _event_of(kind: str, fields: Mapping[str, Json]) -> RunEvent:
    if kind in set(Status):  # the first format wrote the end as an event of that name
        return RunEnded(
            status=Status(kind),
            reason=_text(fields.get("reason")),
            error=_text(fields.get("error")),
        )
    try:
        return _KINDS[kind].validate_python(fields)
    except (KeyError, ValidationError):
        return OtherEvent(name=kind, fields=fields)


def _code_of(error: VerifineError) -> str:
    """`no_go` for NoGoError."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()


def _text(value: Json) -> str | None:
    return None if value is None else str(value)
