"""What each route asks of a key: one table, without which no route answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from fastapi import Request
from fastapi.routing import APIRoute

from verifine.service.access.audit import Act
from verifine.service.access.scopes import Scope

Need = Scope | Literal["key", "nothing"]
"""A scope; `key`: any key; `nothing`: anybody may ask."""


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """A row of the table."""

    need: Need
    act: Act | None = None
    """What the audit calls it; None: it changes nothing that stays, or says so itself."""


OPEN, ANY_KEY = RouteAccess("nothing"), RouteAccess("key")
READ, RUN, ADMIN, METRICS = RouteAccess("read"), RouteAccess("run"), RouteAccess("admin"), RouteAccess("metrics")

ROUTES: Mapping[tuple[str, str], RouteAccess] = MappingProxyType(
    {
        ("GET", "/healthz"): OPEN,
        ("GET", "/readyz"): OPEN,
        ("GET", "/metrics"): METRICS,
        ("GET", "/session"): OPEN,  # it looks at the start token
        ("POST", "/session"): OPEN,  # it looks at the key in the body
        ("GET", "/api/session"): ANY_KEY,
        ("DELETE", "/api/session"): ANY_KEY,
        ("POST", "/v1/files"): RouteAccess("run", "file.upload"),
        ("GET", "/v1/files"): READ,
        ("GET", "/v1/files/{file_id}"): READ,
        ("DELETE", "/v1/files/{file_id}"): RouteAccess("run", "file.delete"),
        ("GET", "/v1/files/{file_id}/content"): READ,
        ("POST", "/v1/fine_tuning/alpha/graders/run"): RUN,
        ("POST", "/v1/fine_tuning/alpha/graders/validate"): RUN,
        ("POST", "/v1/fine_tuning/jobs"): RouteAccess("run", "job.create"),
        ("GET", "/v1/fine_tuning/jobs"): READ,
        ("GET", "/v1/fine_tuning/jobs/{job_id}"): READ,
        ("POST", "/v1/fine_tuning/jobs/{job_id}/cancel"): RouteAccess("run", "job.cancel"),
        ("POST", "/v1/fine_tuning/jobs/{job_id}/pause"): RouteAccess("run", "job.pause"),
        ("POST", "/v1/fine_tuning/jobs/{job_id}/resume"): RouteAccess("run", "job.resume"),
        ("GET", "/v1/fine_tuning/jobs/{job_id}/events"): READ,
        ("GET", "/v1/fine_tuning/jobs/{job_id}/checkpoints"): READ,
        ("POST", "/v1/chat/completions"): RUN,
        ("POST", "/v1/completions"): RUN,
        ("GET", "/v1/models"): READ,
        ("GET", "/v1/models/{model:path}"): READ,
        ("DELETE", "/v1/models/{model:path}"): RouteAccess("run", "model.delete"),
        ("GET", "/api/runs"): ADMIN,
        ("GET", "/api/audit"): ADMIN,
        ("GET", "/api/jobs/{job_id}/metrics"): READ,
        ("GET", "/api/jobs/{job_id}/evaluations"): READ,
        ("GET", "/api/jobs/{job_id}/findings"): READ,
        ("GET", "/api/jobs/{job_id}/rollouts"): READ,
        ("GET", "/api/jobs/{job_id}/rollouts/{step}"): READ,
        ("GET", "/api/jobs/{job_id}/rollouts/{step}/{group}"): READ,
        ("GET", "/api/jobs/{job_id}/stream"): READ,
        ("PUT", "/api/jobs/{job_id}/marks"): RouteAccess("run", "mark.put"),
        ("GET", "/api/jobs/{job_id}/marks"): READ,
        ("DELETE", "/api/jobs/{job_id}/marks/{mark_id}"): RouteAccess("run", "mark.delete"),
        ("GET", "/api/jobs/{job_id}/marks.jsonl"): READ,
        ("POST", "/api/files/{file_id}/study"): RUN,
        ("POST", "/api/graders/probe"): RUN,
        ("POST", "/api/jobs/{job_id}/regrade"): RUN,
        ("POST", "/api/resolve"): RUN,
        ("POST", "/api/check"): RUN,
        ("POST", "/api/trial"): RUN,
        ("GET", "/api/endpoints"): READ,
        ("POST", "/api/endpoints/{model}/load"): RouteAccess("run", "endpoint.load"),
        ("POST", "/api/endpoints/{model}/unload"): RouteAccess("run", "endpoint.unload"),
        ("GET", "/api/machine"): READ,
    }
)


def find_access(request: Request) -> RouteAccess:
    """Of the route that was found for a request. Raises KeyError: it is not in the table."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute), "no other kind of route asks"
    return ROUTES[request.method, route.path]
