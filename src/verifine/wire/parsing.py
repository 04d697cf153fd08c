"""From the bytes of a request to its fields; what is wrong with them is told by the field's name."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from verifine.data.kinds import kind_of
from verifine.data.strict_json import JsonError, parse_json
from verifine.data.suggestion import did_you_mean
from verifine.types import Json
from verifine.wire.api_error import ApiError, invalid_request
from verifine.wire.api_request import ApiRequest

RequestT = TypeVar("RequestT", bound=ApiRequest)

_SHOWN = 60
"""Characters of a wrong value in a message."""

_ABSENT = ("missing", "extra_forbidden")
"""The errors whose place ends with a name that is no field, of the request or of the schema."""

_OWN_FIELD = re.compile(r"`([\w.]+)`")


def read_fields(body: bytes) -> dict[str, Json]:
    """The fields of a JSON object that are not null.

    Raises:
        ApiError: it is none.
    """
    try:
        value = parse_json(body.decode("utf-8-sig"))  # some editors begin a file with a byte order mark
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


def validate_fields(fields: dict[str, Json], schema: type[RequestT]) -> RequestT:
    """The request that they make.

    Raises:
        ApiError: one of them is wrong.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        raise _explain(error.errors(include_url=False), schema, fields) from None


def _explain(details: list[ErrorDetails], schema: type[ApiRequest], fields: Json) -> ApiError:
    """The first error, since OpenAI's envelope has a single one."""
    detail = next((each for each in details if each["type"] == "extra_forbidden"), details[0])
    place = _place(detail, fields)
    where = ".".join(place)
    match detail["type"]:
        case "extra_forbidden":
            hint = did_you_mean(where, schema.model_fields)
            return invalid_request(f'"{where}" is unknown{hint}', param=where, code="unknown_parameter")
        case "missing":
            return invalid_request(f'"{where}" is missing', param=where, code="missing_required_parameter")
        case "value_error":  # a rule of our own; its message begins with the field's name
            text = str(detail["ctx"]["error"])
            named = _OWN_FIELD.match(text)
            return invalid_request(text, param=".".join([*place, named[1]]) if named else where)
    same = [each for each in details if _place(each, fields) == place]
    expected = " or ".join(dict.fromkeys(_expectation(each) for each in same))
    return invalid_request(f'"{where}" is {_shown(detail["input"])}; {expected}', param=where)


def _place(detail: ErrorDetails, fields: Json) -> list[str]:
    """The names that lead to the field. Between them pydantic has labels, for the members of a union that it tried."""
    place: list[str] = []
    value = fields
    *way, last = detail["loc"] if detail["type"] in _ABSENT else (*detail["loc"], None)
    for part in way:
        if isinstance(value, list):
            break
        if isinstance(value, dict) and part in value:
            place.append(str(part)[:_SHOWN])
            value = value[str(part)]
    return place if last is None else [*place, str(last)[:_SHOWN]]


def _expectation(detail: ErrorDetails) -> str:
    text = detail["msg"]
    return text[:1].lower() + text[1:]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
