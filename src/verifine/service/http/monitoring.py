"""`/healthz`, `/readyz` and `/metrics`: for those who watch the service itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import Route
from starlette.types import Scope

from verifine.service.endpoints.pool import EndpointPool
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import JobStore
from verifine.wire.api_error import failed_request


class ServiceState(Collector):
    """Gauges that are read when they are asked for."""

    def __init__(self, jobs: JobStore, pool: EndpointPool, now: Callable[[], float]) -> None:
        self._jobs, self._pool, self._now = jobs, pool, now

    def collect(self) -> Iterator[Metric]:
        counts = self._jobs.count_by_state()
        jobs = GaugeMetricFamily("verifine_jobs", "Jobs of all owners by state.", labels=["state"])
        for state in JobState:
            jobs.add_metric([state], counts.get(state, 0))
        yield jobs
        oldest = self._jobs.oldest_waiting()
        waited = 0.0 if oldest is None else max(self._now() - oldest, 0.0)
        yield GaugeMetricFamily("verifine_queue_seconds", "Since the oldest waiting job was made.", value=waited)
        states = self._pool.states()
        endpoints = GaugeMetricFamily("verifine_endpoints", "Models in memory by state.", labels=["state"])
        for word in ("loading", "loaded", "unloading"):
            endpoints.add_metric([word], sum(each.state == word for each in states))
        yield endpoints
        held = sum(each.resident_bytes for each in states)
        yield GaugeMetricFamily("verifine_endpoint_bytes", "Memory that they hold.", value=held)


class Monitoring:
    """What is counted, and the routes that show it."""

    def __init__(self, jobs: JobStore, pool: EndpointPool, now: Callable[[], float]) -> None:
        self._jobs = jobs
        self._registry = CollectorRegistry()
        self._registry.register(ServiceState(jobs, pool, now))
        self._responses = Counter(
            "verifine_service_responses",
            "Responses by route, method and status.",
            ["route", "method", "status"],
            registry=self._registry,
        )

    def observe(self, scope: Scope, status: int) -> None:
        """Counts a response, under its route: a path or a method could be anything that clients think of."""
        found = scope.get("route")
        route, methods = (found.path, found.methods) if isinstance(found, Route | APIRoute) else ("other", None)
        self._responses.labels(route, scope["method"] if scope["method"] in (methods or ()) else "other", status).inc()

    def router(self) -> APIRouter:
        router = APIRouter(tags=["Health"])
        router.add_api_route("/healthz", self.health, methods=["GET"], response_class=PlainTextResponse)
        router.add_api_route("/readyz", self.readiness, methods=["GET"], response_class=PlainTextResponse)
        router.add_api_route("/metrics", self.metrics, methods=["GET"], response_class=PlainTextResponse)
        return router

    def health(self) -> PlainTextResponse:
        """That the service runs."""
        return PlainTextResponse("ok\n")

    def readiness(self) -> PlainTextResponse:
        """That it can work: its database answers."""
        try:
            self._jobs.count_by_state()
        except SQLAlchemyError as error:
            raise failed_request("the database does not answer", status=503) from error
        return PlainTextResponse("ready\n")

    def metrics(self) -> Response:
        """Numbers in the form of Prometheus; a key is needed, since they are of all owners."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
