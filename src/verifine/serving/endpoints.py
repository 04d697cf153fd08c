"""The routes that answer: from a body to a response that goes out while the client is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from verifine.serving.answer_stream import Piece
from verifine.serving.chat import ChatAnswers
from verifine.serving.completions import TextAnswers
from verifine.serving.effort import read_thinking_limit
from verifine.serving.engine_thread import EngineThread
from verifine.serving.exchange import send_events, within
from verifine.serving.forms import answer_form, tool_names
from verifine.serving.limits import ServingLimits
from verifine.serving.metrics import ServingMetrics
from verifine.serving.prompts import read_chat, read_texts
from verifine.serving.question import AnswerSettings, ServedQuestion, answer_space, make_question
from verifine.serving.served_model import ServedModel, find_model
from verifine.wire.api_error import invalid_request
from verifine.wire.body import read_body, send_json
from verifine.wire.completion_parsing import parse_request
from verifine.wire.completion_requests import ChatRequest, CompletionRequest
from verifine.wire.connection import while_connected

DEFAULT_COMPLETION_TOKENS = 16
"""OpenAI's default for completions, which have no turn to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParts:
    """What the routes share."""

    models: dict[str, ServedModel]
    engine: EngineThread
    limits: ServingLimits
    metrics: ServingMetrics
    reader: ThreadPoolExecutor
    """Reads requests, one at a time, so that a long one holds up no answer."""
    now: Callable[[], float] = time.time

    def add_model(self, served: ServedModel) -> None:
        """In place of one of that name, if there is one."""
        self.remove_model(served.name)
        self.models[served.name] = served
        self.engine.add_model(served.name, served.places)

    def remove_model(self, name: str) -> None:
        """What is asked of it is dropped. Nothing happens if there is none of that name."""
        if self.models.pop(name, None) is not None:
            self.engine.remove_model(name)


class Answers(Protocol):
    """Writes the answers of one question, as JSON texts."""

    async def whole(self, pieces: AsyncIterator[tuple[int, Piece]]) -> str: ...

    def chunks(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncIterator[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """A request that can be answered."""

    question: ServedQuestion
    answers: Answers
    is_stream: bool


class AnsweringRoute:
    """`POST` with a body that `read` understands."""

    def __init__(self, parts: ServerParts, read: Callable[[ServerParts, bytes], ReadRequest]) -> None:
        self._parts = parts
        self._read = read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = self._parts
        try:
            parts.engine.refuse_if_full()
            body = await read_body(Request(scope, receive), parts.limits)
            await while_connected(receive, self._answer(body, send))
        except ClientDisconnect:
            parts.metrics.count_left()

    async def _answer(self, body: bytes, send: Send) -> None:
        parts, began = self._parts, time.monotonic()
        loop = asyncio.get_running_loop()
        read = await loop.run_in_executor(parts.reader, self._read, parts, body)
        question = read.question
        with question.ask(parts.engine) as pieces:
            timed = self._timed(pieces, began)
            try:
                if read.is_stream:
                    await send_events(send, read.answers.chunks(timed), parts.limits)
                else:
                    await send_json(send, await within(parts.limits, read.answers.whole(timed)))
            finally:
                usage = question.usage
                parts.metrics.count_tokens(question.served.name, usage.prompt_tokens, usage.completion_tokens)

    async def _timed(self, pieces: AsyncIterator[tuple[int, Piece]], began: float) -> AsyncIterator[tuple[int, Piece]]:
        is_first = True
        async for each in pieces:
            if is_first:
                self._parts.metrics.observe_first_token(time.monotonic() - began)
                is_first = False
            yield each


def read_chat_request(parts: ServerParts, body: bytes) -> ReadRequest:
    """Everything about a chat that needs no engine. Raises ApiError."""
    request = parse_request(body, ChatRequest)
    served = find_model(parts.models, request.model)
    prompt = read_chat(served, request)
    settings = AnswerSettings(
        prompt_field="messages",
        max_tokens=request.longest_answer,
        max_tokens_field="max_tokens" if request.max_completion_tokens is None else "max_completion_tokens",
        top_logprobs=request.top_logprobs if request.logprobs else None,
    )
    longest = answer_space(served, prompt, settings)
    settings = replace(
        settings,
        form=answer_form(served, request, prompt.tools),
        thinking=read_thinking_limit(served, request, longest),
    )
    question = make_question(served, request, [prompt], settings, parts.limits)
    answers = ChatAnswers(request, tool_names(prompt.tools), question, int(parts.now()))
    return ReadRequest(question=question, answers=answers, is_stream=request.stream)


def read_completion_request(parts: ServerParts, body: bytes) -> ReadRequest:
    """Everything about a completion that needs no engine. Raises ApiError."""
    request = parse_request(body, CompletionRequest)
    served = find_model(parts.models, request.model)
    if len(request.prompts) > parts.limits.prompts:
        message = f'"prompt" has {len(request.prompts)} prompts; this server takes at most {parts.limits.prompts}'
        raise invalid_request(message, param="prompt")
    prompts = read_texts(served, request)
    longest = min(DEFAULT_COMPLETION_TOKENS, served.capacity.own_tokens)
    settings = AnswerSettings(
        prompt_field="prompt",
        max_tokens=longest if request.max_tokens is None else request.max_tokens,
        max_tokens_field="max_tokens",
        top_logprobs=request.logprobs,
    )
    question = make_question(served, request, prompts, settings, parts.limits)
    return ReadRequest(
        question=question, answers=TextAnswers(request, question, int(parts.now())), is_stream=request.stream
    )
