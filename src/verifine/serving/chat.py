"""Chat completions: a question's answers in OpenAI's form, whole or as chunks."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from verifine.serving.answer_stream import Piece, WrittenToken
from verifine.serving.call_reader import CallReader, ReadCall
from verifine.serving.question import ServedQuestion
from verifine.serving.token_texts import TokenTexts
from verifine.wire.completion_requests import ChatRequest
from verifine.wire.completion_responses import (
    CalledFunction,
    ChatChoice,
    ChatCompletion,
    ChatLogprobs,
    ChatMessage,
    ChatToolCall,
    ChosenToken,
    Finish,
    LikelyToken,
)


@dataclass(slots=True)
class _Whole:
    """What an answer consists of."""

    texts: list[str] = field(default_factory=list)
    tokens: list[WrittenToken] = field(default_factory=list)
    calls: tuple[ReadCall, ...] = ()
    finish_reason: Finish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A piece with its calls told from its content."""

    index: int
    content: str
    tokens: tuple[WrittenToken, ...]
    calls: tuple[ReadCall, ...]
    finish_reason: Finish | None


class ChatAnswers:
    """The answers to one chat."""

    def __init__(self, request: ChatRequest, names: Sequence[str], question: ServedQuestion, created: int) -> None:
        """`names`: of the tools that may be called."""
        self._request = request
        self._question = question
        self._created = created
        is_tagged = question.served.has_tagged_calls
        self._readers = [CallReader(names, is_tagged=is_tagged) for _ in question.answers]

    async def whole(self, pieces: AsyncIterator[tuple[int, Piece]]) -> str:
        """All answers, when all have ended."""
        answers = [_Whole() for _ in self._question.answers]
        async for part in self._parts(pieces):
            answer = answers[part.index]
            answer.texts.append(part.content)
            answer.tokens += part.tokens
            answer.calls += part.calls
            answer.finish_reason = part.finish_reason
        choices = [
            ChatChoice(
                index=index,
                message=_message("".join(answer.texts), answer.calls),
                logprobs=self._logprobs(answer.tokens),
                finish_reason=answer.finish_reason,
            )
            for index, answer in enumerate(answers)
        ]
        return self._fields(choices).model_copy(update={"usage": self._question.usage}).as_json()

    async def chunks(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncIterator[str]:
        """Each part as it comes."""
        for index in range(len(self._question.answers)):
            yield self._chunk(index, ChatMessage(role="assistant", content="", refusal=None))
        async for part in self._parts(pieces):
            if part.content or (part.tokens and self._request.logprobs):
                yield self._chunk(part.index, ChatMessage(content=part.content), part.tokens)
            if part.calls:
                yield self._chunk(part.index, ChatMessage(tool_calls=_calls(part.calls, is_chunk=True)))
            if part.finish_reason is not None:
                yield self._chunk(part.index, ChatMessage(), finish_reason=part.finish_reason)
        if self._request.stream_options.include_usage:
            yield self._fields([], is_chunk=True).model_copy(update={"usage": self._question.usage}).as_json()

    async def _parts(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncIterator[_Part]:
        async for index, piece in pieces:
            content = self._readers[index].add(piece.text)
            calls: tuple[ReadCall, ...] = ()
            reason: Finish | None = None if piece.finish_reason is None else piece.finish_reason.value
            if reason is not None:
                rest, calls = self._readers[index].finish()
                content += rest
            if calls and reason == "stop":
                reason = "tool_calls"
            yield _Part(index=index, content=content, tokens=piece.tokens, calls=calls, finish_reason=reason)

    def _chunk(
        self,
        index: int,
        delta: ChatMessage,
        tokens: Sequence[WrittenToken] = (),
        finish_reason: Finish | None = None,
    ) -> str:
        logprobs = self._logprobs(tokens) if tokens else None
        choice = ChatChoice(index=index, delta=delta, logprobs=logprobs, finish_reason=finish_reason)
        chunk = self._fields([choice], is_chunk=True)
        if self._request.stream_options.include_usage:
            chunk = chunk.model_copy(update={"usage": None})
        return chunk.as_json()

    def _fields(self, choices: list[ChatChoice], *, is_chunk: bool = False) -> ChatCompletion:
        return ChatCompletion(
            id=f"chatcmpl-{self._question.id}",
            object="chat.completion.chunk" if is_chunk else "chat.completion",
            created=self._created,
            model=self._question.served.name,
            choices=choices,
            system_fingerprint=self._question.served.fingerprint,
        )

    def _logprobs(self, tokens: Sequence[WrittenToken]) -> ChatLogprobs | None:
        if not self._request.logprobs:
            return None
        texts = self._question.served.token_texts
        return ChatLogprobs(content=[_chosen(token, texts) for token in tokens], refusal=None)


def _message(content: str, calls: Sequence[ReadCall]) -> ChatMessage:
    if not calls:
        return ChatMessage(role="assistant", content=content, refusal=None)
    silent = None if not content.strip() else content
    return ChatMessage(role="assistant", content=silent, refusal=None, tool_calls=_calls(calls, is_chunk=False))


def _calls(calls: Sequence[ReadCall], *, is_chunk: bool) -> list[ChatToolCall]:
    """With ids; in a chunk also with their places."""
    written = [
        ChatToolCall(
            id=f"call_{uuid.uuid4().hex[:24]}",
            type="function",
            function=CalledFunction(name=call.name, arguments=call.arguments),
        )
        for call in calls
    ]
    return [each.model_copy(update={"index": place}) for place, each in enumerate(written)] if is_chunk else written


def _chosen(token: WrittenToken, texts: TokenTexts) -> ChosenToken:
    assert token.model is not None, "asked for"
    own = _likely(token.token_id, token.model.logprob, texts)
    top = [_likely(token_id, logprob, texts) for token_id, logprob in token.model.likeliest]
    return ChosenToken(token=own.token, logprob=own.logprob, bytes=own.bytes, top_logprobs=top)


def _likely(token_id: int, logprob: float, texts: TokenTexts) -> LikelyToken:
    written = texts.of(token_id)
    return LikelyToken(token=written.decode(errors="replace"), logprob=logprob, bytes=list(written))
