"""Completions: a question's answers as texts that continue the prompts, whole or in parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from verifine.serving.answer_stream import Piece, WrittenToken
from verifine.serving.question import ServedQuestion
from verifine.wire.completion_requests import CompletionRequest
from verifine.wire.completion_responses import Finish, TextChoice, TextCompletion, TextLogprobs


class TextAnswers:
    """The answers to one request for completions."""

    def __init__(self, request: CompletionRequest, question: ServedQuestion, created: int) -> None:
        self._request = request
        self._question = question
        self._created = created

    async def whole(self, pieces: AsyncIterator[tuple[int, Piece]]) -> str:
        """All texts, when all have ended."""
        texts = [self._echo(index) for index in range(len(self._question.answers))]
        tokens: list[list[WrittenToken]] = [[] for _ in texts]
        reasons: list[Finish | None] = [None for _ in texts]
        async for index, piece in pieces:
            texts[index] += piece.text
            tokens[index] += piece.tokens
            reasons[index] = None if piece.finish_reason is None else piece.finish_reason.value
        choices = [
            self._choice(index, text, own, reason)
            for index, (text, own, reason) in enumerate(zip(texts, tokens, reasons, strict=True))
        ]
        return self._fields(choices).model_copy(update={"usage": self._question.usage}).as_json()

    async def chunks(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncIterator[str]:
        """Each piece as it comes."""
        has_usage = self._request.stream_options.include_usage
        echoes = {index: self._echo(index) for index in range(len(self._question.answers))}
        async for index, piece in pieces:
            text = echoes.pop(index, "") + piece.text
            reason: Finish | None = None if piece.finish_reason is None else piece.finish_reason.value
            if text or piece.tokens or reason is not None:
                part = self._fields([self._choice(index, text, piece.tokens, reason)])
                yield (part.model_copy(update={"usage": None}) if has_usage else part).as_json()
        if has_usage:
            yield self._fields([]).model_copy(update={"usage": self._question.usage}).as_json()

    def _echo(self, index: int) -> str:
        return self._question.prompts[index // self._request.n].text if self._request.echo else ""

    def _choice(
        self, index: int, text: str, tokens: Sequence[WrittenToken], finish_reason: Finish | None
    ) -> TextChoice:
        return TextChoice(index=index, text=text, logprobs=self._logprobs(tokens), finish_reason=finish_reason)

    def _fields(self, choices: list[TextChoice]) -> TextCompletion:
        return TextCompletion(
            id=f"cmpl-{self._question.id}",
            object="text_completion",
            created=self._created,
            model=self._question.served.name,
            choices=choices,
            system_fingerprint=self._question.served.fingerprint,
        )

    def _logprobs(self, tokens: Sequence[WrittenToken]) -> TextLogprobs | None:
        if self._request.logprobs is None:
            return None
        models = [token.model for token in tokens if token.model is not None]
        return TextLogprobs(
            tokens=[self._text(token.token_id) for token in tokens],
            token_logprobs=[model.logprob for model in models],
            top_logprobs=[{self._text(id_): logprob for id_, logprob in model.likeliest} for model in models],
            text_offset=[token.start for token in tokens],
        )

    def _text(self, token_id: int) -> str:
        return self._question.served.token_texts.of(token_id).decode(errors="replace")
