"""Where time comes from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The machine's own unless told otherwise."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.perf_counter
    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    timeout: Callable[[float], AbstractAsyncContextManager[object]] = asyncio.timeout
    """Raises TimeoutError in a block that takes longer than this many seconds."""
