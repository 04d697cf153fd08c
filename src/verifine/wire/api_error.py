"""Errors as OpenAI's clients read them: a status, and an object with message, type, param and code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Literal

from verifine.errors import VerifineError

ErrorType = Literal["invalid_request_error", "permission_error", "requests", "insufficient_quota", "server_error"]

NO_RETRY = MappingProxyType({"x-should-retry": "false"})
"""Clients repeat 408, 409, 429 and 5xx by themselves, unless this header tells them not to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What stands under `error` in the body."""

    message: str
    type: ErrorType
    param: str | None
    """The field of the request that is wrong; None: not a single one is."""
    code: str | None

    def as_json(self) -> str:
        return json.dumps({"error": asdict(self)})


class ApiError(VerifineError):
    """A request that is not answered."""

    def __init__(self, status: int, body: ErrorBody, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(body.message)
        self.status = status
        self.body = body
        self.headers = headers


def invalid_request(
    message: str, *, param: str | None = None, code: str | None = "invalid_value", status: int = 400
) -> ApiError:
    """A request that is wrong in itself."""
    return ApiError(status, ErrorBody(message=message, type="invalid_request_error", param=param, code=code))


def conflict(message: str, *, code: str, param: str | None = None) -> ApiError:
    """A request that the state of things does not allow. Clients would send it again, which changes nothing."""
    body = ErrorBody(message=message, type="invalid_request_error", param=param, code=code)
    return ApiError(409, body, NO_RETRY)


def forbidden(message: str) -> ApiError:
    body = ErrorBody(message=message, type="permission_error", param=None, code="insufficient_permissions")
    return ApiError(403, body)


def unknown_model(name: str, served: str) -> ApiError:
    """`served`: the names of the models that there are."""
    return invalid_request(
        f'the model "{name[:80]}" does not exist; this server has {served or "none"}',
        param="model",
        code="model_not_found",
        status=404,
    )


def too_many_requests(waiting: int, retry_after_s: int) -> ApiError:
    message = f"{waiting} requests wait already; try again in {retry_after_s} s"
    body = ErrorBody(message=message, type="requests", param=None, code="rate_limit_exceeded")
    return ApiError(429, body, {"retry-after": str(retry_after_s)})


def failed_request(message: str, *, status: int = 500, code: str = "server_error", retry: bool = True) -> ApiError:
    """A fault of the server. `retry`: whether the same request may succeed when it is sent again."""
    body = ErrorBody(message=message, type="server_error", param=None, code=code)
    return ApiError(status, body, {} if retry else NO_RETRY)
