"""Whether to retry a failed request, and how long to wait before.

The rules are those of OpenAI's own clients, so a server that steers those (`retry-after`, `retry-after-ms`,
`x-should-retry`) steers us alike.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from verifine.graders.remote.message import HttpFailure, HttpFailureKind

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
JITTER = 0.25
"""Up to this share of a pause is left out, so that requests that failed together are not retried together."""
LONGEST_ASKED_PAUSE_S = 120.0
"""If a server asks for a longer wait, the request is not retried."""

_PASSING_STATUSES = frozenset({408, 409, 429})


def pause_before_retry(
    failure: HttpFailure, headers: Mapping[str, str], attempt: int, seed: bytes, now: float
) -> float | None:
    """Seconds to wait after the failed `attempt` (from 0); None: do not retry.

    The jitter is a function of `seed` and `attempt`. `now` is in seconds since 1970.
    """
    asked = _asked_pause_s(headers, now)
    if not _may_pass(failure, headers) or (asked is not None and asked > LONGEST_ASKED_PAUSE_S):
        return None
    if asked is not None and asked > 0:
        return asked
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt) * (1 - JITTER * _uniform(seed, attempt))


def _may_pass(failure: HttpFailure, headers: Mapping[str, str]) -> bool:
    if failure.kind is not HttpFailureKind.STATUS or failure.status is None:
        return failure.kind in (HttpFailureKind.TIMEOUT, HttpFailureKind.CONNECTION)
    match headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
        case _:
            return failure.status in _PASSING_STATUSES or failure.status >= 500


def _asked_pause_s(headers: Mapping[str, str], now: float) -> float | None:
    """None: the server does not ask for a readable one."""
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            asked = float(headers[name]) / per_second
        except (KeyError, ValueError):
            continue
        return None if math.isnan(asked) else asked
    try:
        return parsedate_to_datetime(headers["retry-after"]).timestamp() - now
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _uniform(seed: bytes, attempt: int) -> float:
    """In [0, 1)."""
    digest = hashlib.sha256(attempt.to_bytes(4, "big") + seed).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
