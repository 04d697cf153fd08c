"""`/v1/fine_tuning/jobs`, in OpenAI's form."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request

from verifine.service.database.paging import PageQuery
from verifine.service.files import FileStore, UnknownFileError
from verifine.service.http.audit import name_object
from verifine.service.http.job_checkpoints import JobCheckpointObject
from verifine.service.http.job_objects import JobEventObject, JobObject
from verifine.service.http.json_body import json_body
from verifine.service.http.keys import OwnerId
from verifine.service.http.list_page import ListPage
from verifine.service.jobs.budget import Budget, ResumeJob, allow_more, read_budget
from verifine.service.jobs.job import JobNews
from verifine.service.jobs.mapping import check_job
from verifine.service.jobs.request import MAX_SEED, CreateJob, read_job
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import IdempotencyKey, JobStore, NewJob
from verifine.service.limits import ServiceLimits
from verifine.service.models.store import ModelStore
from verifine.service.supervisor.progress import show_progress
from verifine.types import Json
from verifine.wire.api_error import invalid_request
from verifine.wire.body import read_body

Limit = Annotated[int, Query(ge=1, le=100)]

CANCEL = {
    JobState.CANCELLED: [JobState.VALIDATING, JobState.QUEUED, JobState.PAUSED],
    JobState.CANCELLING: [JobState.RUNNING, JobState.PAUSING],
}
"""What cancelling does: at once where nothing runs."""

PAUSE = {JobState.PAUSING: [JobState.RUNNING]}
RESUME = {JobState.QUEUED: [JobState.PAUSED]}

_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


class JobRoutes:
    """The routes of a store."""

    def __init__(self, jobs: JobStore, files: FileStore, models: ModelStore, limits: ServiceLimits) -> None:
        self._jobs, self._files, self._models, self._limits = jobs, files, models, limits

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["Fine-tuning"])
        router.add_api_route("", self.create, methods=["POST"], openapi_extra=json_body(CreateJob))
        router.add_api_route("", self.list_jobs, methods=["GET"])
        router.add_api_route("/{job_id}", self.retrieve, methods=["GET"])
        router.add_api_route("/{job_id}/cancel", self.cancel, methods=["POST"])
        router.add_api_route("/{job_id}/pause", self.pause, methods=["POST"])
        budget = json_body(ResumeJob, is_required=False)
        router.add_api_route("/{job_id}/resume", self.resume, methods=["POST"], openapi_extra=budget)
        router.add_api_route("/{job_id}/events", self.events, methods=["GET"])
        router.add_api_route("/{job_id}/checkpoints", self.checkpoints, methods=["GET"])
        return router

    async def create(
        self, request: Request, owner_id: OwnerId, idempotency_key: Annotated[str | None, Header(max_length=255)] = None
    ) -> JobObject:
        """Makes a job that trains a model by reinforcement."""
        body = await read_body(request, self._limits)
        job = await asyncio.to_thread(self._create, owner_id, body, idempotency_key)
        name_object(request, job.id)
        return job

    def list_jobs(
        self, request: Request, owner_id: OwnerId, after: str | None = None, limit: Limit = 20
    ) -> ListPage[JobObject]:
        """Jobs, newest first; `metadata[KEY]=VALUE` finds those with it, `metadata=null` those without any."""
        page = self._jobs.list(owner_id, PageQuery(limit=limit, after=after), _metadata(request.query_params))
        return ListPage[JobObject].of(page, JobObject.of)

    def retrieve(self, job_id: str, owner_id: OwnerId) -> JobObject:
        """A job as it is now."""
        return JobObject.of(self._jobs.find(owner_id, job_id))

    def cancel(self, job_id: str, owner_id: OwnerId) -> JobObject:
        """Ends a job; what it has saved stays."""
        news = {
            JobState.CANCELLED: JobNews(message="Job cancelled", level="warn"),
            JobState.CANCELLING: JobNews(message="Cancellation was requested", level="warn"),
        }
        return JobObject.of(self._jobs.ask(owner_id, job_id, CANCEL, news))

    def pause(self, job_id: str, owner_id: OwnerId) -> JobObject:
        """Saves a checkpoint at the next step, and ends until it is resumed."""
        return JobObject.of(self._jobs.ask(owner_id, job_id, PAUSE, JobNews(message="A pause was requested")))

    async def resume(self, request: Request, job_id: str, owner_id: OwnerId) -> JobObject:
        """Continues a job from where it was paused, when its turn comes; `verifine.run.max_steps` allows it more."""
        body = await read_body(request, self._limits)
        return await asyncio.to_thread(self._resume, owner_id, job_id, read_budget(body))

    def events(
        self, job_id: str, owner_id: OwnerId, after: str | None = None, limit: Limit = 20
    ) -> ListPage[JobEventObject]:
        """What has happened to a job, newest first."""
        page = self._jobs.list_events(owner_id, job_id, PageQuery(limit=limit, after=after))
        return ListPage[JobEventObject].of(page, JobEventObject.of)

    def checkpoints(
        self, job_id: str, owner_id: OwnerId, after: str | None = None, limit: Limit = 10
    ) -> ListPage[JobCheckpointObject]:
        """The best by held-out data and those of pauses, newest first; each may be named as a model."""
        self._jobs.find(owner_id, job_id)
        page = self._models.list_checkpoints(job_id, PageQuery(limit=limit, after=after))
        return ListPage[JobCheckpointObject].of(page, JobCheckpointObject.of)

    def _resume(self, owner_id: str, job_id: str, budget: Budget) -> JobObject:
        job, news = self._jobs.find(owner_id, job_id), JobNews(message="The job waits to be continued")
        if job.state is not JobState.PAUSED:  # to be told so
            return JobObject.of(self._jobs.ask(owner_id, job_id, RESUME, news))
        progress = show_progress(job.progress)
        resolved = allow_more(job, progress.ending, budget, progress.step)
        return JobObject.of(self._jobs.ask(owner_id, job_id, RESUME, news, resolved))

    def _create(self, owner_id: str, body: bytes, key: str | None) -> JobObject:
        asked = read_job(body)
        check_job(asked, self._models.find_start(owner_id, asked.model))
        self._check_file(owner_id, asked.training_file, "training_file")
        if asked.validation_file is not None:
            self._check_file(owner_id, asked.validation_file, "validation_file")
        new = NewJob(
            request=_kept(asked),
            training_file=asked.training_file,
            validation_file=asked.validation_file,
            metadata=asked.metadata,
        )
        sent = None if key is None else IdempotencyKey(key=key, sha256=hashlib.sha256(body).hexdigest())
        return JobObject.of(self._jobs.create(owner_id, new, sent, self._limits.owner_jobs))

    def _check_file(self, owner_id: str, file_id: str, param: str) -> None:
        try:
            file = self._files.find(owner_id, file_id)
        except UnknownFileError as error:
            raise invalid_request(str(error), param=param, code="file_not_found") from error
        if file.purpose != "fine-tune":
            message = f"the file {file_id} was uploaded for {file.purpose}; upload it with the purpose fine-tune"
            raise invalid_request(message, param=param, code="invalid_file")


def _kept(asked: CreateJob) -> dict[str, Json]:
    """What is remembered of a request: as it was sent, with the hyperparameters and the seed filled in."""
    fields: dict[str, Any] = asked.model_dump(mode="json", by_alias=True, exclude_unset=True)
    reinforcement = asked.method.reinforcement
    shown = fields["method"]["reinforcement"]
    shown["hyperparameters"] = reinforcement.hyperparameters.model_dump(mode="json", exclude_none=True)
    shown.setdefault("response_format", None)
    fields["seed"] = secrets.randbelow(MAX_SEED + 1) if asked.seed is None else asked.seed
    return fields


def _metadata(query: Mapping[str, str]) -> dict[str, str] | None:
    """The pairs to be found; None: the query names none."""
    if query.get("metadata") == "null":
        return {}
    pairs = {found[1]: value for name, value in query.items() if (found := _METADATA.fullmatch(name)) is not None}
    return pairs or None
