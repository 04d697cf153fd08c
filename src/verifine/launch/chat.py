"""A chat in this process: with one model, or with two that answer the same, scored by the grader of a run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from verifine.config.memory import Precision
from verifine.errors import ConfigError
from verifine.launch.build import sampling_of
from verifine.launch.chat_grading import ChatGrading, load_chat_inputs, open_chat_grading
from verifine.launch.endpoint import LoadedTarget, find_trained, load_target
from verifine.launch.facts import decide_precision
from verifine.launch.inputs import RunInputs
from verifine.launch.options import LaunchOptions
from verifine.launch.run_base import load_base
from verifine.machine.threads import decide_threads
from verifine.models.thinking import ThinkingLimit
from verifine.models.threads import use_threads
from verifine.runs.directory import RunDirectory
from verifine.runs.events import Listener
from verifine.runs.run_config import load_run_config
from verifine.serving import ServedModel, ServingLimits
from verifine.serving.conversation import Conversation, Reply
from verifine.serving.engine_thread import EngineThread
from verifine.types import Example, Grade, Message, Sampling
from verifine.wire.api_error import ApiError

BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """Who is asked, and how."""

    model: str
    """A run directory, a checkpoint in one, or the name of a model."""
    versus: str | None = None
    """Another one that answers beside it; `base`: the model that the run started from."""
    system: str | None = None
    """Begin with this system message, or with none if it is empty; None: with what every row of the run begins with."""
    temperature: float = 0.0
    """0 is greedy, as in a run's evaluation."""
    max_tokens: int | None = None
    """None: as long as in the run, or 1024."""
    threads: int | None = None
    """The most threads to compute with; None: one a core."""
    precision: Precision | Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredReply:
    """What came of a question to one model."""

    reply: Reply | None
    """None: it could not answer."""
    error: str = ""
    grade: Grade | None = None
    """None: nobody scored it."""


class ReplyListener(Protocol):
    """Hears the answers while they are written, each by the place of its model."""

    def hear(self, place: int, text: str) -> None: ...

    def end(self, place: int) -> None: ...


class ChatSession:
    """Models that are loaded, and what was said to all of them; each sees its own answers."""

    def __init__(self, models: Sequence[ServedModel], options: ChatOptions, start: ChatStart) -> None:
        self.grading = start.grading
        self.names = [each.name for each in models]
        self.answer_tokens = models[0].capacity.own_tokens
        self.opening = tuple(start.opening)
        self._conversations = [
            Conversation(
                each,
                start.limits,
                temperature=options.temperature,
                stops=() if start.sampling is None else start.sampling.stop,
                thinking=None if start.sampling is None else ThinkingLimit.of(each.model, start.sampling),
            )
            for each in models
        ]
        self._runner = asyncio.Runner()
        self._engine = EngineThread({each.name: each.places for each in models}, waiting_requests=0)

    def open(self) -> None:
        async def start() -> None:
            self._engine.start()

        self._runner.run(start())
        self.reset()

    def close(self) -> None:
        self._engine.close()
        self._runner.close()

    def reset(self) -> None:
        """Forgets what was said after the opening."""
        self._begin(self.opening)

    def ask(self, question: str, listener: ReplyListener) -> list[ScoredReply]:
        """Asks all models. Ctrl-C ends the answers, and the turn is forgotten.

        Raises:
            KeyboardInterrupt: at Ctrl-C.
        """
        return self._ask(Message(role="user", content=question), self.grading.find_row(question), listener)

    def ask_row(self, row: Example, listener: ReplyListener) -> list[ScoredReply]:
        """Begins anew with the messages of a row. See `ask`."""
        messages = (*self.opening, *self.grading.after_opening(row))
        self._begin(messages[:-1], row)
        return self._ask(messages[-1], row, listener)

    def _begin(self, messages: Sequence[Message], row: Example | None = None) -> None:
        for each in self._conversations:
            each.begin(messages, () if row is None else row.tools)

    def _ask(self, message: Message, row: Example | None, listener: ReplyListener) -> list[ScoredReply]:
        found = self._runner.run(self._replies(message, listener))
        grades = iter(self.grading.grade(row, [each.reply for each in found if each.reply is not None]))
        for conversation, each in zip(self._conversations, found, strict=True):
            if each.reply is not None:
                conversation.remember(message, each.reply)
        return [each if each.reply is None else replace(each, grade=next(grades)) for each in found]

    async def _replies(self, message: Message, listener: ReplyListener) -> list[ScoredReply]:
        places = range(len(self._conversations))
        return await asyncio.gather(*(self._reply(place, message, listener) for place in places))

    async def _reply(self, place: int, message: Message, listener: ReplyListener) -> ScoredReply:
        def hear(text: str) -> None:
            listener.hear(place, text)

        try:
            return ScoredReply(reply=await self._conversations[place].reply(self._engine, message, hear))
        except ApiError as error:
            return ScoredReply(reply=None, error=str(error))
        finally:
            listener.end(place)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatStart:
    """What a chat begins with, besides its models."""

    grading: ChatGrading
    opening: Sequence[Message]
    """What every conversation begins with."""
    limits: ServingLimits
    sampling: Sampling | None = None
    """That of the run, with its stop texts and its budget of thoughts; None: there is no run."""


@contextmanager
def open_chat(options: ChatOptions, launch: LaunchOptions) -> Iterator[ChatSession]:
    """Loads the models, and closes everything afterwards.

    Raises:
        VerifineError: a model cannot be used.
    """
    threads = decide_threads()
    use_threads(replace(threads, compute=min(threads.compute, options.threads or threads.compute)), os.environ)
    trained = find_trained(options.model)
    if options.versus == BASE and trained is None:
        raise ConfigError(f"--vs base: {options.model} is not a run, so it has no base; give --vs the name of a model")
    run = None if trained is None else trained.run
    loaded = _load_models(options, run, launch.tell)
    with _start(options, run, loaded[0], launch) as start:
        models = _serve(loaded, start.limits)
        session = ChatSession(models, options, start)
        session.open()
        try:
            yield session
        finally:
            session.close()


def _load_models(options: ChatOptions, run: RunDirectory | None, tell: Listener) -> list[LoadedTarget]:
    precision = decide_precision(options.precision)
    loaded = [load_target(options.model, precision, tell)]
    if options.versus == BASE and run is not None:
        loaded.append(_load_base(run, precision, tell))
    elif options.versus is not None:
        loaded.append(load_target(options.versus, precision, tell))
    if len({each.name for each in loaded}) == len(loaded):
        return loaded
    given = (options.model, options.versus or "")
    if len(set(given)) == 1:
        raise ConfigError(f"--vs {options.versus}: this is the model itself; give another one")
    return [replace(each, name=name) for each, name in zip(loaded, given, strict=True)]


def _serve(loaded: Sequence[LoadedTarget], limits: ServingLimits) -> list[ServedModel]:
    return [ServedModel.of(each.name, each.model, limits, created=0) for each in loaded]


def _load_base(run: RunDirectory, precision: Precision, tell: Listener) -> LoadedTarget:
    name = load_run_config(run).model.name.rstrip("/").rpartition("/")[2]
    return LoadedTarget(name=f"base {name}", model=load_base(run, precision, tell), files=None)


@contextmanager
def _start(
    options: ChatOptions, run: RunDirectory | None, loaded: LoadedTarget, launch: LaunchOptions
) -> Iterator[ChatStart]:
    given = [Message(role="system", content=options.system)] if options.system else []
    if run is None:
        yield ChatStart(grading=ChatGrading(), opening=given, limits=_limits(options, None, loaded))
        return
    inputs, notes = load_chat_inputs(load_run_config(run))
    with open_chat_grading(run, inputs, notes, launch.services()) as grading:
        system = inputs.config.data.system_prompt
        own = [Message(role="system", content=system)] if system is not None and not grading.rows else grading.opening
        limits = _limits(options, inputs, loaded)
        yield ChatStart(
            grading=grading,
            opening=own if options.system is None else given,
            limits=limits,
            sampling=sampling_of(inputs.config, limits.answer_tokens),
        )


def _limits(options: ChatOptions, inputs: RunInputs | None, loaded: LoadedTarget) -> ServingLimits:
    """Answers one question at a time."""
    defaults = ServingLimits()
    own = defaults.answer_tokens if inputs is None else inputs.max_new_tokens(loaded.model.context_length)
    tokens = options.max_tokens or own
    return ServingLimits(
        answer_tokens=tokens, context_tokens=max(defaults.context_tokens, 2 * tokens), concurrent_answers=1
    )
