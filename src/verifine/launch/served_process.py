"""A model that a service has started: `python -m verifine.launch.served_process`, with the order on standard input."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time

from verifine.errors import VerifineError
from verifine.launch.endpoint import load_target
from verifine.launch.facts import decide_precision
from verifine.launch.serving_order import ORDER, REPLY, ServingOrder, ServingReply
from verifine.machine.parent import end_with_parent
from verifine.machine.threads import decide_threads
from verifine.models.threads import use_threads
from verifine.runs.events import RunEvent
from verifine.serving import ServedModel, ServingLimits, build_app
from verifine.wire.server import AppServer


def serve_for_parent() -> None:
    """Loads the model, says so on standard output, and answers until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    order = ORDER.validate_json(sys.stdin.buffer.readline())
    end_with_parent(order.parent)
    # What libraries print goes to the log.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def reply(said: ServingReply) -> None:
        with answers:
            answers.write(REPLY.dump_json(said) + b"\n")

    limits = ServingLimits(cache_bytes=order.cache_bytes, request_seconds=order.request_seconds)
    try:
        served = _load(order, limits)
    except VerifineError as error:
        reply(ServingReply(problem=str(error).replace(order.source, order.name)))
        sys.exit(error.exit_code)
    reply(ServingReply())
    with socket.socket(fileno=order.listener) as listener:
        AppServer(build_app([served], limits, token=order.token), limits.request_seconds).run(listener)


def _load(order: ServingOrder, limits: ServingLimits) -> ServedModel:
    use_threads(decide_threads(), os.environ)
    model = load_target(order.source, decide_precision("auto"), _log).model
    return ServedModel.of(order.name, model, limits, int(time.time()))


def _log(event: RunEvent) -> None:
    logging.getLogger(__name__).info("%s", event)


if __name__ == "__main__":
    serve_for_parent()
