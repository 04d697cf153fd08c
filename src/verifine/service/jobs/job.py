"""A job as the database has it, and what happened to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import RowMapping

from verifine.config import RunConfig, build_config
from verifine.config.document import parse_document
from verifine.service.jobs.states import JobState
from verifine.types import Json

EventLevel = Literal["info", "warn", "error"]
EventType = Literal["message", "metrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure:
    """Why a job failed, as OpenAI's `error` has it."""

    code: str
    message: str
    param: str | None = None
    """The field of the request that is to blame; None: none is."""


FAILURES = 5
"""A job is given up when so many looks at it in a row failed for a reason that nobody has foreseen."""

UNFORESEEN = JobFailure(
    code="server_error", message="the service failed at this job several times in a row; its log has the cause"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedJob:
    """A job in which everything is decided."""

    request: Mapping[str, Json]
    config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job."""

    id: str
    owner_id: str
    seq: int
    created_at: int
    state: JobState
    request: Mapping[str, Json]
    """As it was asked for on OpenAI's wire, with what was "auto" decided."""
    config: str
    """The RunConfig, as YAML; empty while files are being validated."""
    metadata: Mapping[str, str]
    training_file: str
    validation_file: str | None
    finished_at: int | None
    failure: JobFailure | None
    fence: int
    """How often it was claimed: a write with an older number is refused."""
    progress: Json
    """How far its run was followed, as `supervisor.progress` writes it; None: there is no run."""
    fine_tuned_model: str | None
    """The name of the model that it has left; None: there is none yet."""
    result_files: Sequence[str]
    """The files that it has left."""

    def run_config(self) -> RunConfig:
        """What is in `config`.

        Raises:
            ConfigError: a version of Verifine wrote it whose settings this one does not know.
        """
        values = parse_document(self.config, f"the config of {self.id}").value
        assert isinstance(values, dict), "written by dump_config"
        return build_config(values)

    @classmethod
    def of(cls, row: RowMapping) -> Job:
        failure = row["failure"]
        return cls(
            id=row["id"],
            owner_id=row["owner_id"],
            seq=row["seq"],
            created_at=row["created_at"],
            state=JobState(row["state"]),
            request=row["request"],
            config=row["config"],
            metadata=row["metadata"],
            training_file=row["training_file"],
            validation_file=row["validation_file"],
            finished_at=row["finished_at"],
            failure=None if failure is None else JobFailure(**failure),
            fence=row["fence"],
            progress=row["progress"],
            fine_tuned_model=row["fine_tuned_model"],
            result_files=row["result_files"] or (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNews:
    """Something that is to be told about a job."""

    message: str
    level: EventLevel = "info"
    type: EventType = "message"
    data: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """What was told about a job, in the order of `seq`, without gaps."""

    id: str
    job_id: str
    seq: int
    created_at: int
    level: EventLevel
    type: EventType
    message: str
    data: Mapping[str, Json] | None

    @classmethod
    def of(cls, row: RowMapping) -> JobEvent:
        return cls(**row)
