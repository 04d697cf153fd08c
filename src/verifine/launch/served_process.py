"""A model that a service has started: `python -m verifine.launch.served_process`, with the order on standard input."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from functools import partial

from verifine.errors import ModelError, VerifineError
from verifine.launch.endpoint import LoadedTarget, load_adapter, load_target
from verifine.launch.facts import decide_precision
from verifine.launch.serving_order import ORDER, REPLY, ServingOrder, ServingReply
from verifine.machine.parent import end_with_parent
from verifine.machine.priority import give_way
from verifine.machine.threads import decide_threads
from verifine.models.load import LanguageModel
from verifine.models.threads import use_threads
from verifine.runs.events import RunEvent
from verifine.serving import ServedModel, ServingLimits, build_app
from verifine.serving.owner import ServerOwner
from verifine.wire.server import AppServer


def serve_for_parent() -> None:
    """Loads the model, says so on standard output, and answers until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    order = ORDER.validate_json(sys.stdin.buffer.readline())
    end_with_parent(order.parent)
    give_way()
    # What libraries print goes to the log.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def reply(said: ServingReply) -> None:
        with answers:
            answers.write(REPLY.dump_json(said) + b"\n")

    limits = ServingLimits(cache_bytes=order.cache_bytes, request_seconds=order.request_seconds)
    use_threads(decide_threads(), os.environ)
    try:
        loaded, served = _load(order, limits)
    except VerifineError as error:
        reply(ServingReply(problem=str(error).replace(order.source, order.name)))
        sys.exit(error.exit_code)
    owner = ServerOwner(token=order.token, load_adapter=partial(_load_adapter, loaded, limits))
    reply(ServingReply())
    with socket.socket(fileno=order.listener) as listener:
        AppServer(build_app([served], limits, owner=owner), limits.request_seconds).run(listener)


def _load(order: ServingOrder, limits: ServingLimits) -> tuple[LoadedTarget, ServedModel]:
    loaded = load_target(order.source, decide_precision("auto"), _log)
    return loaded, _serve(order.name, loaded.model, limits)


def _load_adapter(base: LoadedTarget, limits: ServingLimits, name: str, source: str) -> ServedModel:
    try:
        return _serve(name, load_adapter(base, source, name), limits)
    except VerifineError as error:
        raise ModelError(str(error).replace(source, name)) from error


def _serve(name: str, model: LanguageModel, limits: ServingLimits) -> ServedModel:
    return ServedModel.of(name, model, limits, int(time.time()))


def _log(event: RunEvent) -> None:
    logging.getLogger(__name__).info("%s", event)


if __name__ == "__main__":
    serve_for_parent()
