"""The answers of OpenAI's chat completions, completions and models. What is not set is not written."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Finish = Literal["stop", "length", "tool_calls"]


class ApiResponse(BaseModel):
    """Written with `as_json`."""

    model_config = ConfigDict(frozen=True)

    def as_json(self) -> str:
        return self.model_dump_json(exclude_unset=True)


class ReasoningDetails(ApiResponse):
    """Of the tokens of an answer."""

    reasoning_tokens: int


class AnswerUsage(ApiResponse):
    """The tokens of a request, over all its answers."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: ReasoningDetails

    @classmethod
    def of(cls, prompt_tokens: int, answer_tokens: int, reasoning_tokens: int) -> AnswerUsage:
        return cls(
            prompt_tokens=prompt_tokens,
            completion_tokens=answer_tokens,
            total_tokens=prompt_tokens + answer_tokens,
            completion_tokens_details=ReasoningDetails(reasoning_tokens=reasoning_tokens),
        )


class LikelyToken(ApiResponse):
    """A token that could have stood in a place."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenToken(LikelyToken):
    """A token of the answer."""

    top_logprobs: list[LikelyToken]


class ChatLogprobs(ApiResponse):
    """One entry a token."""

    content: list[ChosenToken]
    refusal: None


class CalledFunction(ApiResponse):
    """The arguments are JSON text."""

    name: str
    arguments: str


class ChatToolCall(ApiResponse):
    """A call that the model asks for; `index` only in a stream."""

    index: int = 0
    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatMessage(ApiResponse):
    """An answer, or in a stream a part of one."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: None = None
    tool_calls: list[ChatToolCall] = []


class ChatChoice(ApiResponse):
    """One of the answers; `delta` takes the place of `message` in a stream."""

    index: int
    message: ChatMessage = ChatMessage()
    delta: ChatMessage = ChatMessage()
    logprobs: ChatLogprobs | None
    finish_reason: Finish | None


class ChatCompletion(ApiResponse):
    """All answers, or in a stream a chunk of one."""

    id: str
    object: Literal["chat.completion", "chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: AnswerUsage | None = None
    system_fingerprint: str


class TextLogprobs(ApiResponse):
    """Lists with one entry a token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(ApiResponse):
    """One of the texts, or in a stream a part of one."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Finish | None


class TextCompletion(ApiResponse):
    """All texts, or in a stream a part of one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: AnswerUsage | None = None
    system_fingerprint: str


class ModelCard(ApiResponse):
    """A model that can be asked."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(ApiResponse):
    """All models that can be asked."""

    object: Literal["list"]
    data: list[ModelCard]
