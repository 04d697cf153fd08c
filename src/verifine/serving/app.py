"""The server as an ASGI app that others can embed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from verifine.serving.endpoints import AnsweringRoute, ServerParts, read_chat_request, read_completion_request
from verifine.serving.engine_thread import EngineThread
from verifine.serving.limits import ServingLimits
from verifine.serving.metrics import ServingMetrics
from verifine.serving.owner import ServerOwner, TokenCheck, owner_routes
from verifine.serving.served_model import ServedModel, find_model
from verifine.wire.completion_responses import ModelCard, ModelList
from verifine.wire.envelope import LOCAL_HOSTS, Envelope


def build_app(
    models: Sequence[ServedModel],
    limits: ServingLimits | None = None,
    *,
    hosts: Collection[str] = LOCAL_HOSTS,
    owner: ServerOwner | None = None,
) -> Starlette:
    """Answers requests for `models` while its lifespan lasts.

    Args:
        models: What can be asked, each by its name.
        limits: None: the defaults.
        hosts: The names that the server may be asked by, against pages that point a name of theirs at this machine;
            empty: any.
        owner: The server of ours that alone may ask, gives requests their ids, and adds and removes adapters. None:
            anybody may ask.
    """
    limits = limits or ServingLimits()
    metrics = ServingMetrics()
    engine = EngineThread({each.name: each.places for each in models}, limits.waiting_requests)
    metrics.watch(lambda: engine.waiting, lambda: engine.answering)
    parts = ServerParts(
        models={each.name: each for each in models},
        engine=engine,
        limits=limits,
        metrics=metrics,
        reader=ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader"),
    )
    return Starlette(
        routes=[
            Route("/v1/chat/completions", AnsweringRoute(parts, read_chat_request), methods=["POST"]),
            Route("/v1/completions", AnsweringRoute(parts, read_completion_request), methods=["POST"]),
            *_small_routes(parts),
            *([] if owner is None else owner_routes(owner, parts)),
        ],
        middleware=[
            Middleware(Envelope, hosts, metrics.observe, keeps_ids=owner is not None),
            *([] if owner is None else [Middleware(TokenCheck, owner.token)]),
        ],
        exception_handlers={HTTPException: _leave_to_envelope},
        lifespan=partial(_lifespan, parts),
    )


@asynccontextmanager
async def _lifespan(parts: ServerParts, _: Starlette) -> AsyncIterator[None]:
    parts.engine.start()
    try:
        yield
    finally:
        parts.engine.close()
        parts.reader.shutdown()


async def _leave_to_envelope(_: Request, error: Exception) -> Response:
    raise error


def _small_routes(parts: ServerParts) -> list[Route]:
    """Models, health and metrics."""

    def card(served: ServedModel) -> ModelCard:
        return ModelCard(id=served.name, object="model", created=served.created, owned_by="verifine")

    async def list_models(_: Request) -> Response:
        return _json(ModelList(object="list", data=[card(each) for each in parts.models.values()]).as_json())

    async def retrieve_model(request: Request) -> Response:
        return _json(card(find_model(parts.models, request.path_params["model"])).as_json())

    async def health(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readiness(_: Request) -> Response:
        is_ready = parts.engine.is_alive
        return Response("ready\n" if is_ready else "the engine has ended\n", 200 if is_ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(parts.metrics.as_text(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/v1/models", list_models),
        Route("/v1/models/{model:path}", retrieve_model),
        Route("/healthz", health),
        Route("/readyz", readiness),
        Route("/metrics", metrics),
    ]


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
