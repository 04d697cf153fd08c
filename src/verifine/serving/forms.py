"""The form that a chat's answers have to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifine.serving.answer_form import AnswerForm
from verifine.serving.grammar import CallForm
from verifine.serving.served_model import ServedModel
from verifine.types import Json
from verifine.wire.api_error import invalid_request
from verifine.wire.completion_requests import ChatRequest, JsonObjectFormat, NamedToolChoice, SchemaFormat


def tool_names(tools: Sequence[Mapping[str, Json]]) -> list[str]:
    """The names of checked tools."""
    functions = [tool["function"] for tool in tools]
    return [str(function["name"]) for function in functions if isinstance(function, dict)]


def answer_form(served: ServedModel, request: ChatRequest, tools: Sequence[Mapping[str, Json]]) -> AnswerForm | None:
    """What `response_format` or `tool_choice` ask for; None: any text.

    Raises:
        ApiError: there is no such tool, both are asked for, or a schema cannot be enforced.
    """
    forced = _forced_tools(request, tools)
    if forced:
        if not isinstance(request.response_format, SchemaFormat | JsonObjectFormat):
            form = CallForm(tools=forced, is_tagged=served.has_tagged_calls, several=request.parallel_tool_calls)
            return served.grammars.compile_calls(form)
        message = '"tool_choice" forces a call, so the answer cannot have the form of "response_format"; drop one'
        raise invalid_request(message, param="tool_choice")
    match request.response_format:
        case JsonObjectFormat():
            return served.grammars.compile_schema({"type": "object"})
        case SchemaFormat(json_schema=described):
            return served.grammars.compile_schema(described.schema_)
    return None


def _forced_tools(request: ChatRequest, tools: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """The tools of which one has to be called."""
    choice = request.tool_choice
    if choice in (None, "none"):
        return []
    if not tools:
        raise invalid_request('"tool_choice" needs tools; give them, or leave it out', param="tool_choice")
    if not isinstance(choice, NamedToolChoice):
        return list(tools) if choice == "required" else []
    named = [tool for tool, name in zip(tools, tool_names(tools), strict=True) if name == choice.function.name]
    if not named:
        message = f'"tool_choice" names "{choice.function.name[:64]}", which is not one of the tools'
        raise invalid_request(message, param="tool_choice")
    return named
