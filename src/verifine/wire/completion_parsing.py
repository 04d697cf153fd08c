"""Requests of OpenAI's that mean something which no server of ours does are told so by the field's name."""

from __future__ import annotations

from verifine.wire.api_error import invalid_request
from verifine.wire.parsing import RequestT, read_fields, validate_fields

UNSUPPORTED = {
    "audio": "only text is written",
    "web_search_options": "nothing is looked up on the web",
    "functions": "give `tools`",
    "function_call": "give `tool_choice`",
    "suffix": "texts are continued at their end only",
}
"""Fields of OpenAI's that mean something which this server does not do, and what to do instead."""


def parse_request(body: bytes, schema: type[RequestT]) -> RequestT:
    """The request that a body holds.

    Raises:
        ApiError: it is no JSON object, or one of its fields is wrong.
    """
    fields = read_fields(body)
    for name, advice in UNSUPPORTED.items():
        if name in fields:
            message = f'"{name}" is not supported: {advice}'
            raise invalid_request(message, param=name, code="unsupported_parameter")
    return validate_fields(fields, schema)
