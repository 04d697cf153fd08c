"""A chat in this process is what the server would answer, and what training would grade."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from verifine.models.chat.prompt import render_prompt
from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.thinking import ThinkingLimit
from verifine.rollout.native.native_engine import NativeEngine
from verifine.serving import ServedModel, ServingLimits
from verifine.serving.conversation import Conversation, Reply
from verifine.serving.engine_thread import EngineThread
from verifine.testing.models import CHAT_TEMPLATE, save_tiny_reasoning_model
from verifine.types import Example, Message, Sampling, ThinkingBudget
from verifine.wire.api_error import ApiError

LIMITS = ServingLimits(context_tokens=200, answer_tokens=30, concurrent_answers=1)
Result = TypeVar("Result")


def say(text: str) -> Message:
    return Message(role="user", content=text)


def with_engine(served: ServedModel, scene: Callable[[EngineThread], Coroutine[Any, Any, Result]]) -> Result:
    async def whole() -> Result:
        engine = EngineThread({served.name: served.places}, waiting_requests=0)
        engine.start()
        with closing(engine):
            return await scene(engine)

    return asyncio.run(whole())


@pytest.fixture(scope="module")
def place(model: LanguageModel) -> ServedModel:
    return ServedModel.of("tiny", model, LIMITS, created=1)


def rollout_text(model: LanguageModel, messages: tuple[Message, ...], stop: tuple[str, ...] = ()) -> str:
    """The greedy answer of the engine that trains."""
    sampling = Sampling(group_size=1, max_new_tokens=30, temperature=0, stop=stop)
    prompt = render_prompt(model, Example(id="p", messages=messages, item={}), 30)
    with closing(NativeEngine(model)) as engine:
        (group,) = engine.generate([prompt], sampling)
    return group.rollouts[0].text


def test_each_turn_is_what_training_would_sample_and_is_streamed(place: ServedModel, model: LanguageModel) -> None:
    heard: list[list[str]] = [[], []]

    async def scene(engine: EngineThread) -> list[Reply]:
        talk = Conversation(place, LIMITS, temperature=0)
        talk.begin([Message(role="system", content="Be brief.")])
        first = await talk.reply(engine, say("Hi"), heard[0].append)
        talk.remember(say("Hi"), first)
        return [first, await talk.reply(engine, say("And?"), heard[1].append)]

    first, second = with_engine(place, scene)
    start = (Message(role="system", content="Be brief."), say("Hi"))
    assert first.text == rollout_text(model, start) == "".join(heard[0])
    assert second.text == rollout_text(model, (*start, Message(role="assistant", content=first.text), say("And?")))
    assert len(heard[1]) > 5


def test_an_answer_ends_with_its_stop_text_as_graders_see_it(place: ServedModel, model: LanguageModel) -> None:
    stop = rollout_text(model, (say("Hi"),))[5:8]

    async def scene(engine: EngineThread) -> Reply:
        return await Conversation(place, LIMITS, temperature=0, stops=[stop]).reply(engine, say("Hi"), lambda _: None)

    reply = with_engine(place, scene)
    assert reply.text == rollout_text(model, (say("Hi"),), (stop,))
    assert reply.text.endswith(stop)


def test_a_thought_is_ended_by_its_budget_and_told_from_the_answer(tmp_path: Path) -> None:
    folder = save_tiny_reasoning_model(tmp_path, f"{CHAT_TEMPLATE}<think>")
    model = load_model(ProvisionedModel(name="thinker", folder=folder, source="random"), "float32")
    thinking = ThinkingBudget(tokens=4, end="\n</think>\n")
    sampling = Sampling(group_size=1, max_new_tokens=30, temperature=0, thinking=thinking)
    served = ServedModel.of("thinker", model, LIMITS, created=1)
    prompt = render_prompt(model, Example(id="p", messages=(say("Hi"),), item={}), 30)
    with closing(NativeEngine(model)) as engine:
        (group,) = engine.generate([prompt], sampling)

    async def scene(engine: EngineThread) -> Reply:
        limit = ThinkingLimit.of(model, sampling)
        return await Conversation(served, LIMITS, temperature=0, thinking=limit).reply(
            engine, say("Hi"), lambda _: None
        )

    reply, rollout = with_engine(served, scene), group.rollouts[0]
    assert "</think>" in reply.text
    assert (reply.text, reply.answer_start, reply.opened) == (rollout.text, rollout.answer_start, "<think>")


def test_what_was_broken_off_refused_or_forgotten_is_not_part_of_what_follows(place: ServedModel) -> None:
    async def scene(engine: EngineThread) -> list[Reply]:
        talk = Conversation(place, LIMITS, temperature=0)
        has_begun = asyncio.Event()
        task = asyncio.create_task(talk.reply(engine, say("Count"), lambda _: has_begun.set()))
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ApiError, match="307"):
            await talk.reply(engine, say("x" * 300), lambda _: None)
        first = await talk.reply(engine, say("Hi"), lambda _: None)
        talk.remember(say("Hi"), first)
        second = await talk.reply(engine, say("Hi"), lambda _: None)
        talk.begin()
        return [first, second, await talk.reply(engine, say("Hi"), lambda _: None)]

    first, second, fresh = with_engine(place, scene)
    assert first == fresh != second
