"""A request to a service, and its reply or failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from verifine.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """JSON to POST."""

    url: str
    body: bytes = field(repr=False)
    id: str = ""
    """Identifies the request; a retry keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """The JSON of an answer with a status of 2xx."""

    value: Json
    seconds: float = 0.0
    """From the first attempt on, pauses between attempts included; waiting for a free slot is not."""


class HttpFailureKind(StrEnum):
    """The reason why there is no reply."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    """Refused, reset, no such host, a certificate that is not trusted, or not HTTP."""
    STATUS = "status"
    """The service answered with an error status."""
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFailure:
    """A request without a reply, after all attempts. No text in it holds a key or a secret."""

    kind: HttpFailureKind
    message: str
    """What is wrong, where, and what to do."""
    status: int | None = None
    """None: there was no answer."""
    detail: str = ""
    """The service's own words, shortened."""
    code: str | None = None
    """The service's own name for the error; None: it gave none."""
    seconds: float = 0.0
