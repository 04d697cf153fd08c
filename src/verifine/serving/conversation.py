"""A chat with one model, turn by turn, beside others on the same engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from verifine.data.thoughts import find_answer
from verifine.models.thinking import ThinkingLimit, thinks_apart
from verifine.serving.engine_thread import EngineThread
from verifine.serving.limits import ServingLimits
from verifine.serving.prompts import read_example
from verifine.serving.question import AnswerSettings, make_question
from verifine.serving.served_model import ServedModel
from verifine.types import Example, FinishReason, Json, Message
from verifine.wire.completion_requests import SamplingFields


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    text: str
    """All of it, as in training: without special tokens, and with the stop text that ended it."""
    answer_start: int
    """Where the answer begins in `text`, behind the thought; see `Rollout.answer_start`."""
    opened: str
    """See `Prompt.opened`."""
    token_count: int
    finish_reason: FinishReason


class Conversation:
    """What was said so far, as far as it was to be remembered."""

    def __init__(
        self,
        served: ServedModel,
        limits: ServingLimits,
        *,
        temperature: float,
        stops: Sequence[str] = (),
        thinking: ThinkingLimit | None = None,
    ) -> None:
        """`thinking`: the budget of thoughts, if there is one."""
        self._served = served
        self._limits = limits
        self._sampling = SamplingFields(model=served.name, temperature=temperature)
        self._stops = tuple(stops)
        self._thinking = thinking
        self._thinks_apart = thinks_apart(served.model.tokenizer)
        self._messages: tuple[Message, ...] = ()
        self._tools: tuple[Mapping[str, Json], ...] = ()

    def begin(self, messages: Sequence[Message] = (), tools: Sequence[Mapping[str, Json]] = ()) -> None:
        """Forgets what was said; `messages` come before what will be."""
        self._messages, self._tools = tuple(messages), tuple(tools)

    def remember(self, message: Message, reply: Reply) -> None:
        """Both are part of what was said from now on."""
        self._messages = (*self._messages, message, Message(role="assistant", content=reply.text))

    async def reply(self, engine: EngineThread, message: Message, hear: Callable[[str], None]) -> Reply:
        """Answers a message after what was said. `hear` is called with each piece of the answer as it comes.

        Raises:
            ApiError: the template does not take the chat, the context is full, or the engine fails.
        """
        messages = (*self._messages, message)
        prompt = read_example(self._served, Example(id="chat", messages=messages, item={}, tools=self._tools))
        settings = AnswerSettings(
            prompt_field="messages",
            max_tokens=None,  # as long as the model's own limit
            max_tokens_field="max_tokens",
            top_logprobs=None,
            thinking=self._thinking,
            kept_stops=self._stops,
        )
        question = make_question(self._served, self._sampling, [prompt], settings, self._limits)
        pieces: list[str] = []
        reason = FinishReason.STOP
        with question.ask(engine) as told:
            async for _, piece in told:
                pieces.append(piece.text)
                hear(piece.text)
                reason = piece.finish_reason or reason
        text = "".join(pieces)
        (answer,) = question.answers
        return Reply(
            text=text,
            answer_start=find_answer(prompt.opened, text) if self._thinks_apart else 0,
            opened=prompt.opened,
            token_count=answer.token_count,
            finish_reason=reason,
        )
