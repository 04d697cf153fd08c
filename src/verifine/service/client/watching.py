"""Follows a job to its end, over interruptions of the connection and restarts of the service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from verifine.errors import SetupError, StoppedError
from verifine.service.client.connection import ServiceAwayError, ServiceConnection

RETRY_S = 2.0


def watch_job(
    service: ServiceConnection,
    job_id: str,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[str, Any]]:
    """The name and content of each message, once, `end` as the last. `tell` is told when the service is away.

    Raises:
        ServiceAwayError: it does not answer the first time.
        SetupError: the run cannot be read.
        StoppedError: somebody pressed Ctrl-C, which stops the watching only.
    """
    try:
        yield from _follow(service, job_id, tell, sleep)
    except KeyboardInterrupt:
        raise StoppedError(f"the job goes on; `verifine jobs watch {job_id}` follows it again") from None


def _follow(
    service: ServiceConnection, job_id: str, tell: Callable[[str], None], sleep: Callable[[float], None]
) -> Iterator[tuple[str, Any]]:
    last_id, is_away, has_begun = "", False, False
    while True:
        try:
            for message in service.follow(job_id, last_id):
                if is_away:
                    tell("the service is back")
                is_away, has_begun = False, True
                if not message.data:
                    continue
                last_id = message.id
                yield message.event, message.json()
                if message.event == "fault":
                    raise SetupError("the service cannot read the files of the run; its log says why")
                if message.event == "end":
                    return
        except ServiceAwayError:
            if not has_begun:
                raise
            if not is_away:
                tell("the service does not answer; waiting for it (Ctrl-C stops waiting, and the job goes on)")
            is_away = True
        sleep(RETRY_S)
