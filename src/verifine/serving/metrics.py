"""What a server counts, in the form of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

FIRST_TOKEN_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds."""

PATHS = ("/v1/models", "/v1/chat/completions", "/v1/completions", "/healthz", "/readyz", "/metrics")


class ServingMetrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._responses = Counter(
            "verifine_responses", "Responses by route and status.", ["route", "status"], registry=self._registry
        )
        self._prompt_tokens = Counter("verifine_prompt_tokens", "Tokens read.", ["model"], registry=self._registry)
        self._answer_tokens = Counter("verifine_answer_tokens", "Tokens written.", ["model"], registry=self._registry)
        self._left = Counter("verifine_clients_left", "Clients that left early.", registry=self._registry)
        self._first_token = Histogram(
            "verifine_first_token_seconds",
            "From a request's arrival to its first token.",
            registry=self._registry,
            buckets=FIRST_TOKEN_BUCKETS,
        )

    def watch(self, waiting: Callable[[], float], answering: Callable[[], float]) -> None:
        """Gauges that are read when they are asked for."""
        for name, text, value in (
            ("verifine_requests_waiting", "Requests without a place yet.", waiting),
            ("verifine_requests_answering", "Requests that are being answered.", answering),
        ):
            Gauge(name, text, registry=self._registry).set_function(value)

    def observe(self, scope: Scope, status: int) -> None:
        """Counts a response."""
        self._responses.labels(_route(scope), status).inc()

    def count_tokens(self, model: str, prompt_tokens: int, answer_tokens: int) -> None:
        self._prompt_tokens.labels(model).inc(prompt_tokens)
        self._answer_tokens.labels(model).inc(answer_tokens)

    def count_left(self) -> None:
        self._left.inc()

    def observe_first_token(self, seconds: float) -> None:
        self._first_token.observe(seconds)

    def as_text(self) -> bytes:
        return generate_latest(self._registry)


def _route(scope: Scope) -> str:
    """The path without what a client can choose in it."""
    path: str = scope["path"]
    if path.startswith("/v1/models/"):
        return "/v1/models/{model}"
    return path if path in PATHS else "other"
