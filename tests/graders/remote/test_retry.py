from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.remote import HttpFailure, HttpFailureKind
from verifine.graders.remote.retry import pause_before_retry

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110."""


def pause(
    status: int = 500, headers: Mapping[str, str] | None = None, *, attempt: int = 0, seed: bytes = b""
) -> float | None:
    failure = HttpFailure(kind=HttpFailureKind.STATUS, message="", status=status)
    return pause_before_retry(failure, headers or {}, attempt, seed, NOW)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert pause(status) is not None


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 405, 413, 415, 422])
def test_what_will_not_pass_is_not(status: int) -> None:
    assert pause(status) is None


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        (HttpFailureKind.TIMEOUT, True),
        (HttpFailureKind.CONNECTION, True),
        (HttpFailureKind.TOO_LARGE, False),
        (HttpFailureKind.NOT_JSON, False),
    ],
)
def test_failures_without_a_status(kind: HttpFailureKind, again: bool) -> None:
    assert (pause_before_retry(HttpFailure(kind=kind, message=""), {}, 0, b"", NOW) is not None) == again


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:57 GMT"}, 20),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "121"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 09:49:57 GMT"}, None),
    ],
)
def test_the_pause_is_what_the_server_asks_for_up_to_two_minutes(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert pause(429, headers) == seconds


@pytest.mark.parametrize("value", ["0", "-5", "nan", "", "later", "Sun, 06 Nov 1994 08:49:07 GMT", "Mon, 99 Foo"])
def test_what_asks_for_no_pause_gets_our_own(value: str) -> None:
    assert pause(429, {"retry-after": value}) == pause(429)


def test_the_servers_word_goes_before_the_status_but_not_before_the_longest_pause() -> None:
    assert pause(500, {"x-should-retry": "false"}) is None
    assert pause(400, {"x-should-retry": "true"}) is not None
    assert pause(400, {"x-should-retry": "true", "retry-after": "600"}) is None
    assert pause(400, {"x-should-retry": "perhaps"}) is None


@given(attempt=st.integers(0, 10), seed=st.binary(max_size=40))
def test_our_own_pause_doubles_up_to_eight_seconds_less_a_quarter_at_most(attempt: int, seed: bytes) -> None:
    full = min(8.0, 0.5 * 2**attempt)
    own = pause(attempt=attempt, seed=seed)
    assert own is not None
    assert 0.75 * full < own <= full
    assert own == pause(attempt=attempt, seed=seed)


def test_requests_that_fail_together_do_not_come_back_together() -> None:
    assert len({pause(seed=bytes([number])) for number in range(200)}) == 200
