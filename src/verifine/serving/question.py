"""What is asked of the engine for one request, of either kind."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from verifine.models.answer_text import AnswerText
from verifine.models.thinking import ThinkingLimit
from verifine.rollout.native.thinking import ThinkingConstraint
from verifine.rollout.native.uniforms import rollout_key
from verifine.rollout.scheduler import Constraint, LogitChanges, Request, TokenEvent
from verifine.serving.answer_form import AnswerForm
from verifine.serving.answer_stream import AnswerStream, Piece
from verifine.serving.context import context_exceeded
from verifine.serving.engine_thread import EngineThread
from verifine.serving.limits import ServingLimits
from verifine.serving.prompts import ReadPrompt
from verifine.serving.served_model import ServedModel
from verifine.wire.api_error import invalid_request
from verifine.wire.completion_requests import SamplingFields
from verifine.wire.completion_responses import AnswerUsage

GREEDY_BELOW = 1e-5
"""Divided by a smaller temperature, logits may exceed what float32 can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings:
    """What the two kinds of requests name differently."""

    prompt_field: str
    max_tokens: int | None
    max_tokens_field: str
    top_logprobs: int | None
    """None: no log-probabilities."""
    form: AnswerForm | None = None
    """None: answers have any form."""
    thinking: ThinkingLimit | None = None
    """The budget of thoughts; None: there is none. An answer with a form has no thought."""
    kept_stops: tuple[str, ...] = ()
    """Stop texts in place of the request's. Answers end with one, as graders see them; else before it, as at OpenAI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedQuestion:
    """Prompts, each with `n` answers. An answer's index is that of OpenAI's choices: prompt by prompt."""

    id: str
    served: ServedModel
    prompts: Sequence[ReadPrompt]
    requests: tuple[Request, ...]
    answers: tuple[AnswerStream, ...]
    index_of: dict[tuple[str, int], int] = field(repr=False)
    """The index of the answer of a request's sample."""
    form: AnswerForm | None

    @property
    def usage(self) -> AnswerUsage:
        return AnswerUsage.of(
            sum(len(prompt.token_ids) for prompt in self.prompts),
            sum(answer.token_count for answer in self.answers),
            sum(answer.reasoning_tokens for answer in self.answers),
        )

    @contextmanager
    def ask(self, engine: EngineThread) -> Iterator[AsyncIterator[tuple[int, Piece]]]:
        """The pieces of all answers as they come, each with its answer's index. See `EngineThread.answer`."""
        with engine.answer(self.served.name, self.requests) as events:
            yield self._pieces(events)

    async def _pieces(self, events: AsyncIterator[TokenEvent]) -> AsyncIterator[tuple[int, Piece]]:
        async for event in events:
            if event.finish_reason is not None and self.form is not None:
                self.form.refuse_unfinished()
            index = self.index_of[event.request_id, event.sample]
            yield index, self.answers[index].add(event)


def make_question(
    served: ServedModel,
    fields: SamplingFields,
    prompts: Sequence[ReadPrompt],
    settings: AnswerSettings,
    limits: ServingLimits,
) -> ServedQuestion:
    """Checks what depends on the model and the limits.

    Raises:
        ApiError: a value is above its limit, or a prompt leaves no space for its answer.
    """
    most = min(limits.choices, served.capacity.samples)
    if fields.n > most:
        raise invalid_request(f'"n" is {fields.n}; this server gives at most {most} answers', param="n")
    longest = [answer_space(served, prompt, settings) for prompt in prompts]
    answer_text = AnswerText(served.model.tokenizer, served.model.stop_token_ids, settings.kept_stops or fields.stops)
    seed = secrets.randbits(63) if fields.seed is None else fields.seed
    bias = _read_bias(served, fields)
    name = uuid.uuid4().hex
    requests = tuple(
        Request(
            id=f"{name}-{place}",
            token_ids=prompt.token_ids,
            keys=tuple(rollout_key(seed, 0, "", sample) for sample in range(fields.n)),
            max_new_tokens=longest[place],
            has_ended=answer_text.has_ended,
            temperature=fields.temperature if fields.temperature >= GREEDY_BELOW else 0.0,
            top_p=fields.top_p,
            changes=_changes(fields, bias, _constrain(settings, prompt)),
            top_logprobs=settings.top_logprobs,
        )
        for place, prompt in enumerate(prompts)
    )
    samples = [
        (prompt, request.id, s) for prompt, request in zip(prompts, requests, strict=True) for s in range(fields.n)
    ]
    return ServedQuestion(
        id=name,
        served=served,
        prompts=prompts,
        requests=requests,
        answers=tuple(
            AnswerStream(
                served.model.tokenizer,
                served.model.stop_token_ids,
                answer_text.stops,
                opened=prompt.opened,
                tags=served.thought_tags,
                keeps_stop=bool(settings.kept_stops),
            )
            for prompt, _, _ in samples
        ),
        index_of={(request_id, sample): index for index, (_, request_id, sample) in enumerate(samples)},
        form=settings.form,
    )


def answer_space(served: ServedModel, prompt: ReadPrompt, settings: AnswerSettings) -> int:
    """Tokens that an answer to the prompt may have.

    Raises:
        ApiError: more are asked for than are written, or the context cannot hold the prompt with its answer.
    """
    longest, context, count = served.capacity.own_tokens, served.context_tokens, len(prompt.token_ids)
    asked = settings.max_tokens
    if asked is not None and asked > longest:
        message = f'"{settings.max_tokens_field}" is {asked}; this server writes at most {longest} tokens'
        raise invalid_request(message, param=settings.max_tokens_field)
    if count + (asked or 1) > context:
        raise context_exceeded(served, count, asked, settings.prompt_field)
    return min(longest if asked is None else asked, context - count)


def _read_bias(served: ServedModel, fields: SamplingFields) -> dict[int, float]:
    bias = {int(token): value for token, value in fields.logit_bias.items()}
    if unknown := [token for token in bias if token not in served.model.vocabulary]:
        raise invalid_request(f"{served.name} has no token with the id {unknown[0]}", param="logit_bias")
    return bias


def _constrain(settings: AnswerSettings, prompt: ReadPrompt) -> Callable[[], Constraint] | None:
    if settings.form is not None:
        return settings.form.begin
    limit = settings.thinking
    return None if limit is None else partial(ThinkingConstraint, limit, limit.begin(prompt.opened))


def _changes(
    fields: SamplingFields, bias: Mapping[int, float], constrain: Callable[[], Constraint] | None
) -> LogitChanges | None:
    if not (bias or fields.presence_penalty or fields.frequency_penalty or constrain):
        return None
    return LogitChanges(
        bias=bias,
        presence_penalty=fields.presence_penalty,
        frequency_penalty=fields.frequency_penalty,
        constrain=constrain,
    )
