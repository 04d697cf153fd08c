"""What a service says when it refuses a request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from verifine.data.strict_json import JsonError, parse_json
from verifine.graders.remote.message import HttpFailure, HttpFailureKind
from verifine.machine.secrets import mask
from verifine.types import Json

MAX_DETAIL_CHARACTERS = 300

_HINTS: Mapping[int, str] = {
    401: "; check the key that is sent",
    403: "; check the key that is sent",
    404: "; check the address, and the model's name",
    413: "; the request is too long for it",
    429: "; lower max_concurrency, or raise max_retries",
}


def describe_refusal(place: str, status: int, body: bytes, secrets: Sequence[str]) -> HttpFailure:
    """The failure for an answer with a status that is not 2xx."""
    value = _parsed(body)
    # Before it is shortened, since half a secret would not be found.
    detail = _one_line(mask(_message(value), secrets))
    told = f": {detail}" if detail else ""
    redirected = "; redirects are not followed, give the final address" if 300 <= status < 400 else ""
    return HttpFailure(
        kind=HttpFailureKind.STATUS,
        message=f"{place} answered with status {status}{told}{redirected}{_HINTS.get(status, '')}",
        status=status,
        detail=detail,
        code=_code(value),
    )


def _parsed(body: bytes) -> Json:
    text = body.decode(errors="replace")
    try:
        return parse_json(text)
    except JsonError:
        return text


def _message(value: Json) -> str:
    """OpenAI's form, `{"error": {"message": ...}}`, or one of those that other servers use."""
    if isinstance(value, dict):
        inner = next((value[key] for key in ("error", "message", "detail") if key in value), None)
        if inner is not None:
            return _message(inner)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _code(value: Json) -> str | None:
    error = value.get("error") if isinstance(value, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None


def _one_line(text: str) -> str:
    printable = "".join(each if each.isprintable() else " " for each in text[: 4 * MAX_DETAIL_CHARACTERS])
    line = " ".join(printable.split())
    return line if len(line) <= MAX_DETAIL_CHARACTERS else line[: MAX_DETAIL_CHARACTERS - 3] + "..."
