"""Work that is done one piece at a time, since jobs compute beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from verifine.wire.api_error import too_many_requests

MOST_WAITING = 8
RETRY_S = 10


class Turns:
    """A turn at a time; those who come when MOST_WAITING wait are sent away, so that they do not hold all threads."""

    def __init__(self) -> None:
        self._turn, self._places = threading.Lock(), threading.BoundedSemaphore(MOST_WAITING + 1)

    @contextmanager
    def take(self) -> Iterator[None]:
        """Raises ApiError: too many wait."""
        if not self._places.acquire(blocking=False):
            raise too_many_requests(MOST_WAITING, RETRY_S)
        try:
            with self._turn:
                yield
        finally:
            self._places.release()
