"""How far a job is known to be: kept with the job, so that nothing is told twice when another supervisor takes it."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from verifine.errors import VerifineError
from verifine.runs.following import Cursor
from verifine.service.supervisor.held_out import HeldOutResults
from verifine.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """What has been told of a job, and how often it crashed."""

    events: Cursor = Cursor()
    """How far the run's events have been read."""
    metrics: Cursor = Cursor()
    step: int = 0
    """The last step that was told; after a crash, those up to it come again and are not."""
    total_steps: int | None = None
    """None: not known yet, or the run goes by time."""
    begun_with: int | None = None
    """The bytes of the run's events when the latest process was started: if there are no more at its end, it has done
    nothing. None: there is no process whose ending is still to be judged."""
    crashes: int = 0
    """How often in a row it crashed at the same step."""
    crash_step: int = -1
    waits_for: str | None = None
    """What it has been told to wait for, in a word such as `insufficient_memory`; None: for its turn."""
    ending: str | None = None
    """Why its run paused or ended last, in a word of `runs.status` such as `disk_full`; None: it was asked to."""
    held_out: HeldOutResults = HeldOutResults()
    is_diagnosed: bool = False
    """Whether what the run as a whole shows has been told."""
    trained_tokens: int | None = None
    """None: not known yet."""
    step_s: float | None = None
    """How long a step takes, by those that were told last; None: none was."""
    estimated_finish: int | None = None
    """When the run will be over, in seconds since 1970, if its steps go on as they do; None: it cannot be said."""


_PROGRESS = TypeAdapter(JobProgress)


class ProgressError(VerifineError):
    """What was written of a job's progress cannot be read."""


def read_progress(value: Json) -> JobProgress:
    """`value` as it was written; None: nothing was. Raises ProgressError."""
    try:
        return JobProgress() if value is None else _PROGRESS.validate_python(value)
    except ValidationError as error:
        raise ProgressError("what the database has of the job's progress cannot be read") from error


def show_progress(value: Json) -> JobProgress:
    """As `read_progress`, for those who look at a job; the beginning if it cannot be read."""
    try:
        return read_progress(value)
    except ProgressError:
        return JobProgress()


def write_progress(progress: JobProgress) -> dict[str, Json]:
    written: dict[str, Json] = _PROGRESS.dump_python(progress, mode="json")
    return written
