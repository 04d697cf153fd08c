"""The service as an ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from verifine.errors import ConfigError, DiskError
from verifine.service.access.audit import AuditStore
from verifine.service.access.key_store import KeyStore
from verifine.service.access.quota import QuotaError
from verifine.service.child import ChildError, Children
from verifine.service.database.paging import UnknownCursorError
from verifine.service.endpoints.pool import EndpointPool
from verifine.service.files import FileInUseError, FileStore, UnknownFileError
from verifine.service.http.audit import AuditRoutes, AuditTrail
from verifine.service.http.completions import CompletionRoutes, FindServable
from verifine.service.http.description import complete_description
from verifine.service.http.endpoints import EndpointRoutes
from verifine.service.http.files import FileRoutes
from verifine.service.http.graders import AT_ONCE, GraderRoutes, RunGrader, ValidateGrader
from verifine.service.http.jobs import JobRoutes
from verifine.service.http.keys import AccessCheck, KeyCheck
from verifine.service.http.machine import MachineRoutes
from verifine.service.http.marks import MarkRoutes, PutMark
from verifine.service.http.models import ModelRoutes
from verifine.service.http.monitoring import Monitoring
from verifine.service.http.previews import PreviewRoutes
from verifine.service.http.runs import RunRoutes
from verifine.service.http.sessions import SessionRoutes, SignIn
from verifine.service.http.site import Site
from verifine.service.http.stream import MESSAGES, StreamRoutes
from verifine.service.http.studies import STUDY_REQUESTS, StudyRoutes
from verifine.service.inspection.preview import RunPreviews
from verifine.service.jobs.budget import ResumeJob
from verifine.service.jobs.request import CreateJob
from verifine.service.jobs.store import JobStateError, JobStore, ReusedKeyError, UnknownJobError
from verifine.service.limits import ServiceLimits
from verifine.service.models.store import ModelInUseError, ModelStore, SharedModelError, UnknownModelError
from verifine.service.run_views.answers import UnknownRolloutsError
from verifine.service.run_views.marks import MarkStore, UnknownMarkError
from verifine.service.run_views.sources import RunSources
from verifine.service.trials.question import GraderTrial, TrialOutcome
from verifine.service.trials.study import StudyQuestion, StudyReply
from verifine.service.turns import Turns
from verifine.wire.api_error import NO_RETRY, ApiError, ErrorBody, conflict, failed_request, invalid_request
from verifine.wire.completion_requests import ChatRequest, CompletionRequest
from verifine.wire.completion_responses import ChatCompletion, TextCompletion
from verifine.wire.envelope import Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceParts:
    """What the routes share."""

    files: FileStore
    jobs: JobStore
    models: ModelStore
    runs: RunSources
    marks: MarkStore
    previews: RunPreviews
    study: Callable[[StudyQuestion], StudyReply]
    pool: EndpointPool
    """Of models that answer."""
    find_servable: FindServable
    try_grader: Callable[[GraderTrial], TrialOutcome]
    children: Children
    """Those that answer requests. They end with the app."""
    folder: Path
    """Of jobs and files."""
    keys: KeyStore
    audit: AuditStore
    limits: ServiceLimits = field(default_factory=ServiceLimits)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


READING = "reading"
"""The folder of files that a process reads."""

LOOPBACK = Site()
"""A service that this machine alone reaches, without a start token."""


class ServiceApp(FastAPI):
    """Its description also has what our own parser reads, what is passed on, and the messages of streams."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.answers: list[object] = []
        """The types that its routes return."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            requests = (
                CreateJob,
                ResumeJob,
                PutMark,
                RunGrader,
                ValidateGrader,
                ChatRequest,
                CompletionRequest,
                SignIn,
            )
            named = (*requests, *STUDY_REQUESTS, *MESSAGES, ChatCompletion, TextCompletion)
            complete_description(super().openapi(), named, self.answers)
        return super().openapi()


def build_service(
    parts: ServiceParts,
    *,
    site: Site = LOOPBACK,
    is_stopping: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """The routes over these parts.

    `site`: what it is called, and how browsers get in. `is_stopping`: whether streams are to end, and no process is to
    begin.
    """
    monitoring = Monitoring(parts.jobs, parts.pool, lambda: parts.now().timestamp())
    app = ServiceApp(
        title="Verifine",
        version=version("verifine"),
        docs_url=None,  # its pages would load scripts from other hosts
        redoc_url=None,
        middleware=[
            Middleware(AuditTrail, parts.audit),
            Middleware(Envelope, site.hosts, monitoring.observe, is_secure=site.is_secure),
            Middleware(KeyCheck, parts.keys, site),
        ],
        dependencies=[Depends(AccessCheck(parts.audit))],
        lifespan=partial(_open, parts),
        exception_handlers={
            HTTPException: _leave_to_envelope,
            RequestValidationError: _refuse_parameter,
            UnknownCursorError: _refuse_cursor,
            UnknownFileError: _refuse_file,
            FileInUseError: _refuse_file_in_use,
            UnknownJobError: _refuse_job,
            JobStateError: _refuse_state,
            ReusedKeyError: _refuse_key,
            QuotaError: _refuse_quota,
            UnknownRolloutsError: _refuse_rollouts,
            ConfigError: _refuse_run,
            ChildError: _refuse_child,
            DiskError: _refuse_disk,
            UnknownMarkError: _refuse_mark,
            DataError: _refuse_text,
            UnknownModelError: _refuse_model,
            ModelInUseError: _refuse_model_in_use,
            SharedModelError: _refuse_shared_model,
        },
    )
    reading, turns = parts.folder / READING, Turns(1, is_stopping)
    routers = (
        SessionRoutes(parts.keys, site, parts.limits).router(),
        FileRoutes(parts.files, parts.limits).router(),
        GraderRoutes(parts.try_grader, Turns(AT_ONCE, is_stopping), parts.limits).router(),
        JobRoutes(parts.jobs, parts.files, parts.models, parts.limits).router(),
        CompletionRoutes(parts.pool, parts.find_servable, parts.limits).router(),
        RunRoutes(parts.runs, parts.now).router(),
        StreamRoutes(parts.runs, parts.jobs, parts.keys, parts.limits, is_stopping).router(),
        ModelRoutes(parts.models).router(),
        MarkRoutes(parts.marks, parts.runs, parts.limits).router(),
        StudyRoutes(parts.files, parts.runs, parts.study, turns, reading, parts.limits).router(),
        PreviewRoutes(parts.previews, Turns(1, is_stopping), parts.limits).router(),
        EndpointRoutes(parts.pool, parts.find_servable).router(),
        MachineRoutes(parts.folder).router(),
        AuditRoutes(parts.audit).router(),
        monitoring.router(),
    )
    for router in routers:
        app.include_router(router)
        app.answers += [route.response_model for route in router.routes if isinstance(route, APIRoute)]
    return app


@asynccontextmanager
async def _open(parts: ServiceParts, _: FastAPI) -> AsyncIterator[None]:
    async with parts.pool.open():
        try:
            yield
        finally:
            parts.children.end()  # the threads that wait for them would keep the process


# What these raise reaches the envelope, which is around them.


def _leave_to_envelope(_: Request, error: Exception) -> NoReturn:
    raise error


def _refuse_parameter(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, RequestValidationError)
    raise _explain(error) from error


def _refuse_cursor(_: Request, error: Exception) -> NoReturn:
    raise invalid_request(str(error), param="after") from error


def _refuse_file(_: Request, error: Exception) -> NoReturn:
    raise invalid_request(str(error), param="file_id", code="file_not_found", status=404) from error


def _refuse_file_in_use(_: Request, error: Exception) -> NoReturn:
    raise conflict(str(error), param="file_id", code="file_in_use") from error


def _refuse_job(_: Request, error: Exception) -> NoReturn:
    message = str(error)
    raise invalid_request(message, param="fine_tuning_job_id", code="fine_tune_not_found", status=404) from error


def _refuse_state(_: Request, error: Exception) -> NoReturn:
    raise conflict(str(error), code="invalid_job_state") from error


def _refuse_key(_: Request, error: Exception) -> NoReturn:
    raise conflict(str(error), code="idempotency_key_reused") from error


def _refuse_quota(_: Request, error: Exception) -> NoReturn:
    body = ErrorBody(message=str(error), type="insufficient_quota", param=None, code="insufficient_quota")
    raise ApiError(429, body, NO_RETRY) from error


def _refuse_rollouts(_: Request, error: Exception) -> NoReturn:
    raise invalid_request(str(error), code="rollouts_not_found", status=404) from error


def _refuse_mark(_: Request, error: Exception) -> NoReturn:
    raise invalid_request(str(error), param="mark_id", code="mark_not_found", status=404) from error


def _refuse_text(_: Request, error: Exception) -> NoReturn:
    raise invalid_request("a text of the request holds NUL, or a number is too large to be stored") from error


def _refuse_run(_: Request, error: Exception) -> NoReturn:
    message = "the files of this run cannot be read; `verifine doctor` on the service's machine says why"
    raise conflict(message, code="run_unreadable") from error


def _refuse_child(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, ChildError)
    if error.is_late:
        raise invalid_request(f"it was stopped: {error}", code="took_too_long") from error
    raise failed_request(f"it could not be found out: {error}", status=503, retry=False) from error


def _refuse_disk(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, DiskError)
    code = "disk_full" if error.is_full else "server_error"
    raise failed_request("a file could not be stored", status=507, code=code, retry=False) from error


def _refuse_model(_: Request, error: Exception) -> NoReturn:
    raise invalid_request(str(error), param="model", code="model_not_found", status=404) from error


def _refuse_model_in_use(_: Request, error: Exception) -> NoReturn:
    raise conflict(str(error), param="model", code="model_in_use") from error


def _refuse_shared_model(_: Request, error: Exception) -> NoReturn:
    body = ErrorBody(message=str(error), type="permission_error", param="model", code="insufficient_permissions")
    raise ApiError(403, body) from error


def _explain(error: RequestValidationError) -> ApiError:
    detail = error.errors()[0]
    name = next((str(each) for each in detail["loc"][1:] if isinstance(each, str)), str(detail["loc"][-1]))
    if detail["type"] == "missing":
        return invalid_request(f'"{name}" is missing', param=name, code="missing_required_parameter")
    text = str(detail["msg"])
    return invalid_request(f'"{name}" is {str(detail["input"])[:60]!r}; {text[:1].lower()}{text[1:]}', param=name)
