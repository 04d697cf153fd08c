"""Jobs and their events, as OpenAI's clients read them."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, JsonValue

from verifine.service.http.list_page import ListedObject
from verifine.service.jobs.job import EventLevel, EventType, Job, JobEvent
from verifine.service.jobs.states import OPENAI_STATUS, JobState
from verifine.service.supervisor.progress import show_progress

Status = Literal["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"]


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    param: str | None


class JobObject(ListedObject):
    """A job."""

    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    model: str
    status: Status
    training_file: str
    validation_file: str | None
    method: dict[str, JsonValue]
    """As it was given, with what was "auto" decided once the files have been read."""
    hyperparameters: dict[str, JsonValue] = Field(default_factory=dict)
    """Those of supervised training, which this is not."""
    seed: int
    fine_tuned_model: str | None
    trained_tokens: int | None
    """Tokens of the answers that it learned from, once it has ended."""
    result_files: list[str]
    error: JobError | None
    estimated_finish: int | None
    integrations: list[JsonValue] | None = None
    metadata: dict[str, str] | None
    user_provided_suffix: str | None
    organization_id: str
    verifine: dict[str, JsonValue]
    """Settings of ours that came with the request; `ending`: why it was paused or has ended, where there is a word."""

    @classmethod
    def of(cls, job: Job) -> Self:
        request: dict[str, Any] = dict(job.request)
        failure, progress = job.failure, show_progress(job.progress)
        error = None
        if failure is not None:
            error = JobError(code=failure.code, message=failure.message, param=failure.param)
        return cls(
            id=job.id,
            created_at=job.created_at,
            finished_at=job.finished_at,
            model=request["model"],
            status=_status(job),
            training_file=job.training_file,
            validation_file=job.validation_file,
            method=request["method"],
            seed=request["seed"],
            fine_tuned_model=job.fine_tuned_model,
            trained_tokens=progress.trained_tokens if job.state.is_final else None,
            result_files=list(job.result_files),
            estimated_finish=progress.estimated_finish if job.state is JobState.RUNNING else None,
            error=error,
            metadata=dict(job.metadata) or None,
            user_provided_suffix=request.get("suffix"),
            organization_id=f"org-{job.owner_id}",
            verifine={**request.get("verifine", {}), **_ending(job)},
        )


class JobEventObject(ListedObject):
    """Something that happened."""

    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: EventLevel
    message: str
    type: EventType
    data: dict[str, JsonValue] | None

    @classmethod
    def of(cls, event: JobEvent) -> Self:
        return cls(
            id=event.id,
            created_at=event.created_at,
            level=event.level,
            message=event.message,
            type=event.type,
            data=None if event.data is None else dict(event.data),
        )


def _ending(job: Job) -> dict[str, JsonValue]:
    ending = show_progress(job.progress).ending
    is_told = ending is not None and (job.state is JobState.PAUSED or job.state.is_final)
    return {"ending": ending} if is_told else {}


def _status(job: Job) -> Status:
    status: Any = OPENAI_STATUS[job.state]
    return status  # type: ignore[no-any-return] # the table has no other words
