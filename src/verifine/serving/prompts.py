"""From the messages or texts of a request to the tokens that the model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from verifine.data.messages import parse_messages
from verifine.data.rows import RowError
from verifine.data.tools import parse_tools
from verifine.models.chat.opened import opened_text
from verifine.models.chat.template import TemplateRefusalError, render_text, render_tokens
from verifine.serving.context import context_exceeded, refuse_long_text
from verifine.serving.served_model import ServedModel
from verifine.types import Example, Json
from verifine.wire.api_error import invalid_request
from verifine.wire.completion_requests import ChatRequest, CompletionRequest

_OTHER_PARTS = {"image_url": "an image", "input_image": "an image", "input_audio": "audio", "file": "a file"}
"""Parts of messages that are no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPrompt:
    """A prompt as the model reads it."""

    token_ids: tuple[int, ...]
    opened: str = ""
    """See `Prompt.opened`."""
    text: str = ""
    """Of a completion."""
    tools: tuple[Mapping[str, Json], ...] = ()
    """Those that the model may call."""


def read_chat(served: ServedModel, request: ChatRequest) -> ReadPrompt:
    """The messages of a request as the model reads them.

    Raises:
        ApiError: the messages or tools are not well formed, or the template does not take them.
    """
    return read_example(served, _example(served, request))


def read_example(served: ServedModel, example: Example) -> ReadPrompt:
    """Renders a chat with the model's chat template, up to the start of the answer.

    Raises:
        ApiError: the template does not take it, or it is far longer than the context.
    """
    try:
        text = render_text(served.renderer, example)
        refuse_long_text(served, text, "messages")
        token_ids = render_tokens(served.renderer, example)
        ignores_tools = bool(example.tools) and text == render_text(served.renderer, replace(example, tools=()))
        opened = opened_text(served.renderer, example, token_ids)
    except TemplateRefusalError as error:
        message = f"the chat template of {served.name} does not take these messages: {error}"
        raise invalid_request(message, param="messages") from error
    if ignores_tools:
        message = f"{served.name} was not trained to call tools: its chat template does not show them"
        raise invalid_request(message, param="tools")
    return ReadPrompt(token_ids=_known(served, token_ids, "messages"), opened=opened, tools=example.tools)


def read_texts(served: ServedModel, request: CompletionRequest) -> list[ReadPrompt]:
    """The prompts of a completion, each as it is.

    Raises:
        ApiError: there is none, or one is empty, longer than the context, or has an id that no token has.
    """
    prompts: list[ReadPrompt] = []
    for given in request.prompts:
        if isinstance(given, str):
            refuse_long_text(served, given, "prompt")
        token_ids = served.renderer(given, verbose=False).input_ids if isinstance(given, str) else given
        if len(token_ids) > served.context_tokens:
            raise context_exceeded(served, len(token_ids), request.max_tokens, "prompt")
        text = given if isinstance(given, str) else served.renderer.decode(token_ids)
        prompts.append(ReadPrompt(token_ids=_known(served, token_ids, "prompt"), text=str(text)))
    if not prompts or not all(prompt.token_ids for prompt in prompts):
        raise invalid_request('"prompt" is empty; give it at least one token', param="prompt")
    return prompts


def _example(served: ServedModel, request: ChatRequest) -> Example:
    _refuse_other_parts(served, request.messages)
    _refuse_last_answer(request.messages)
    try:
        messages = parse_messages(request.messages)
    except RowError as error:
        raise invalid_request(str(error), param="messages") from error
    try:
        tools: tuple[Mapping[str, Json], ...] = () if request.tool_choice == "none" else parse_tools(request.tools)
    except RowError as error:
        raise invalid_request(str(error), param="tools") from error
    return Example(id="request", messages=messages, item={}, tools=tools)


def _refuse_other_parts(served: ServedModel, messages: Sequence[Json]) -> None:
    for index, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        for place, part in enumerate(content if isinstance(content, list) else ()):
            kind = part.get("type") if isinstance(part, dict) else None
            if isinstance(kind, str) and kind in _OTHER_PARTS:
                message_ = (
                    f'"messages[{index}].content[{place}]" is {_OTHER_PARTS[kind]}; {served.name} reads text only'
                )
                raise invalid_request(message_, param="messages")


def _refuse_last_answer(messages: Sequence[Json]) -> None:
    last = messages[-1] if messages else None
    if isinstance(last, dict) and last.get("role") == "assistant":
        message = f'"messages[{len(messages) - 1}]" is the assistant\'s; the last message must be one to answer'
        raise invalid_request(message, param="messages")


def _known(served: ServedModel, token_ids: Sequence[int], param: str) -> tuple[int, ...]:
    if unknown := [token_id for token_id in token_ids if token_id not in served.model.vocabulary]:
        raise invalid_request(f"{served.name} has no token with the id {unknown[0]}", param=param)
    return tuple(token_ids)
