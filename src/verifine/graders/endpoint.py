"""Asking a web service of the user's own."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from verifine.config.graders import EndpointGraderConfig
from verifine.errors import GraderError
from verifine.graders.grader import grade_together
from verifine.graders.remote import (
    HttpFailure,
    HttpFailureKind,
    HttpReply,
    HttpRequest,
    RemoteClient,
    Service,
    Signer,
    check_address,
    read_secret,
)
from verifine.graders.sample import sample_fields
from verifine.graders.sample_error import SampleError
from verifine.graders.services import Services
from verifine.types import Grade, GradeFault, Sample

MAX_REASON_CHARACTERS = 1000

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OUR_HEADERS = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class EndpointAnswer(BaseModel):
    """What the service answers. No other keys are allowed, since a misspelt one would be ignored silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    score: Number | None
    """None: it cannot be scored, for the reason given."""
    parts: Mapping[str, Number] = {}
    format_ok: bool | None = None
    answer_ok: bool | None = None
    reason: str | None = None


class EndpointGrader:
    """The score that the service gives; unscorable where it gives none."""

    def __init__(
        self,
        config: EndpointGraderConfig,
        services: Services,
        *,
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """GraderError if the address or a header is not valid, or the environment lacks the token or the secret."""
        self._config = config
        self._new_id = new_id
        check_address(config.url)
        sent = _checked(config.headers)
        hidden = []
        if config.token_env is not None:
            hidden.append(read_secret(services.environment, config.token_env))
            sent["authorization"] = f"Bearer {hidden[0]}"
        signer = None if config.secret_env is None else _signer(services.environment, config.secret_env)
        clock = services.clock
        service = Service(
            url=config.url,
            timeout_s=config.timeout_s,
            max_concurrency=config.max_concurrency,
            max_retries=config.max_retries,
        )
        self._client = RemoteClient(
            service,
            headers=lambda request: sent if signer is None else sent | signer.headers(request, clock.now()),
            secrets=hidden,
            clock=clock,
        )

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return grade_together(samples, self._request, self._ask)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _ask(self, requests: Sequence[HttpRequest]) -> list[Grade]:
        return [self._grade(answer) for answer in self._client.post_all(requests)]

    def _request(self, sample: Sample) -> HttpRequest:
        trace_id = f"msg_{self._new_id()}"
        content = {"sample": sample_fields(sample), "item": dict(sample.item), "trace_id": trace_id}
        try:
            body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise SampleError(f"the row cannot be sent to the endpoint as JSON: {error}") from error
        return HttpRequest(url=self._config.url, body=body, id=trace_id)

    def _grade(self, answer: HttpReply | HttpFailure) -> Grade:
        if isinstance(answer, HttpFailure):
            is_late = answer.kind is HttpFailureKind.TIMEOUT
            fault = GradeFault.UNRESPONSIVE_REWARD if is_late else GradeFault.OTHER
            return Grade.unscorable(f"the endpoint gave no score: {answer.message}", fault, answer.seconds)
        try:
            told = EndpointAnswer.model_validate(answer.value)
        except ValidationError as error:
            return Grade.unscorable(f"the endpoint's answer {_fault_of(error)}", seconds=answer.seconds)
        reason = None if told.reason is None else told.reason[:MAX_REASON_CHARACTERS]
        if told.score is None:
            return Grade.unscorable(f"the endpoint says: {reason or 'no score, and no reason'}", seconds=answer.seconds)
        return Grade(
            score=told.score,
            reason=reason,
            parts=told.parts or {self._config.name: told.score},
            format_ok=told.format_ok,
            answer_ok=told.answer_ok,
            seconds=answer.seconds,
        )


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise GraderError(f"headers.{name}: not a header; names and values are plain ASCII on one line")
        if name.lower() in _OUR_HEADERS:
            raise GraderError(f"headers.{name}: set by Verifine itself; leave it out")
    return {name.lower(): value for name, value in headers.items()}


def _signer(environment: Mapping[str, str], variable: str) -> Signer:
    try:
        return Signer(read_secret(environment, variable))
    except GraderError as error:
        raise GraderError(f"secret_env: {variable}: {error}") from error


def _fault_of(error: ValidationError) -> str:
    first, *more = error.errors(include_input=False, include_url=False)
    place = ".".join(str(step) for step in first["loc"]) or "as a whole"
    others = f", and {len(more)} more faults" if more else ""
    return f'is not {{"score": number, ...}}: {place}: {first["msg"]}{others}'
