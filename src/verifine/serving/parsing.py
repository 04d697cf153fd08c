"""From the bytes of a request to its fields; what is wrong with them is told by the field's name."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from verifine.data.kinds import kind_of
from verifine.data.strict_json import JsonError, parse_json
from verifine.data.suggestion import did_you_mean
from verifine.serving.api_error import ApiError, invalid_request
from verifine.serving.requests import ApiRequest
from verifine.types import Json

RequestT = TypeVar("RequestT", bound=ApiRequest)

UNSUPPORTED = {
    "audio": "only text is written",
    "web_search_options": "nothing is looked up on the web",
    "functions": "give `tools`",
    "function_call": "give `tool_choice`",
    "suffix": "texts are continued at their end only",
}
"""Fields of OpenAI's that mean something which this server does not do, and what to do instead."""

_SHOWN = 60
"""Characters of a wrong value in a message."""

_WHOLE_PLACE = ("missing", "extra_forbidden")


def parse_request(body: bytes, schema: type[RequestT]) -> RequestT:
    """The request that a body holds.

    Raises:
        ApiError: it is no JSON object, or one of its fields is wrong.
    """
    fields = _fields(body)
    for name, advice in UNSUPPORTED.items():
        if name in fields:
            message = f'"{name}" is not supported: {advice}'
            raise invalid_request(message, param=name, code="unsupported_parameter")
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        raise _explain(error.errors(include_url=False), schema) from None


def _fields(body: bytes) -> dict[str, Json]:
    """Those that are not null."""
    try:
        value = parse_json(body.decode())
    except UnicodeDecodeError as error:
        raise invalid_request("the body is not UTF-8", code="invalid_json") from error
    except JsonError as error:
        place = "" if error.line is None else f" (line {error.line}, column {error.column})"
        raise invalid_request(f"the body is not JSON: {error}{place}", code="invalid_json") from error
    except RecursionError:
        raise invalid_request("the body is nested too deeply", code="invalid_json") from None
    if not isinstance(value, dict):
        raise invalid_request(f"the body is {kind_of(value)}; it must be a JSON object", code="invalid_json")
    return {name: field for name, field in value.items() if field is not None}


def _explain(details: list[ErrorDetails], schema: type[ApiRequest]) -> ApiError:
    """The first error, since OpenAI's envelope has a single one."""
    detail = next((each for each in details if each["type"] == "extra_forbidden"), details[0])
    if detail["type"] == "value_error":  # a rule of our own; its message begins with the field's name
        text = str(detail["ctx"]["error"])
        return invalid_request(text, param=text.split("`")[1])
    where = _dotted(detail)
    match detail["type"]:
        case "extra_forbidden":
            hint = did_you_mean(where, schema.model_fields)
            return invalid_request(f'"{where}" is unknown{hint}', param=where, code="unknown_parameter")
        case "missing":
            return invalid_request(f'"{where}" is missing', param=where, code="missing_required_parameter")
    same = [each for each in details if each["loc"][0] == detail["loc"][0]]
    expected = " or ".join(dict.fromkeys(_expectation(each) for each in same))
    return invalid_request(f'"{where}" is {_shown(detail["input"])}; {expected}', param=where)


def _dotted(detail: ErrorDetails) -> str:
    """The field's place. A label of pydantic's for a member of a union has the name of the field behind it."""
    first, *rest = detail["loc"]
    return ".".join(dict.fromkeys(map(str, (first, *rest)))) if detail["type"] in _WHOLE_PLACE else str(first)


def _expectation(detail: ErrorDetails) -> str:
    text = detail["msg"]
    return text[:1].lower() + text[1:]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
