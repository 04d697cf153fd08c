"""Work that is done a few pieces at a time, since jobs compute beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from verifine.wire.api_error import failed_request, too_many_requests

MOST_WAITING = 8
RETRY_S = 10

ResultT = TypeVar("ResultT")


class Turns:
    """`at_once` pieces at a time. The others wait in the event loop: a thread that waits is one that others lack."""

    def __init__(self, at_once: int, is_stopping: Callable[[], bool]) -> None:
        """`is_stopping`: whether nothing more is to begin."""
        self._at_once, self._is_stopping = at_once, is_stopping
        self._free, self._here = asyncio.Semaphore(at_once), 0

    async def take(self, work: Callable[[], ResultT]) -> ResultT:
        """What `work` returns, done by a thread. A turn lasts until that ends, also when its client has gone.

        Raises:
            ApiError: MOST_WAITING wait already, or nothing more is to begin.
        """
        if self._here >= self._at_once + MOST_WAITING:
            raise too_many_requests(MOST_WAITING, RETRY_S)
        self._here += 1
        try:
            await self._free.acquire()
        except BaseException:
            self._here -= 1
            raise
        if self._is_stopping():
            self._end()
            raise failed_request("the service ends; ask again when it has started again", status=503)
        done = asyncio.ensure_future(asyncio.to_thread(work))
        done.add_done_callback(lambda _: self._end())
        return await asyncio.shield(done)

    def _end(self) -> None:
        self._here -= 1
        self._free.release()
