"""Where time comes from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The machine's own unless somebody says otherwise; a timeout always goes by the machine's."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.perf_counter
    now: Callable[[], float] = time.time
    """Seconds since 1970."""
