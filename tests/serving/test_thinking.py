"""Budgets of thoughts, as requests give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import openai
import pytest
from tests.serving.conftest import LIMITS

from verifine.models.chat.prompt import render_prompt
from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.thinking import ThoughtReader
from verifine.rollout.native.native_engine import NativeEngine
from verifine.serving import ServedModel
from verifine.testing.models import CHAT_TEMPLATE, save_tiny_reasoning_model
from verifine.testing.servers import running_server
from verifine.types import Example, Message, Rollout, Sampling, ThinkingBudget

ASK: Any = [{"role": "user", "content": "Hi"}]
LONGEST = 32
END = "\n</think>\n\n"


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder = save_tiny_reasoning_model(tmp_path_factory.mktemp("thinker"), f"{CHAT_TEMPLATE}<think>")
    return load_model(ProvisionedModel(name="thinker", folder=folder, source="random"), "float32")


@pytest.fixture(scope="module")
def both(thinker: LanguageModel, served: ServedModel) -> Iterator[openai.OpenAI]:
    """`thinker`, and `tiny`, which has no tokens around its thoughts."""
    thinks = ServedModel.of("thinker", thinker, LIMITS, created=1)
    with (
        running_server(thinks, served, limits=LIMITS) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def ask(client: openai.OpenAI, model: str = "thinker", **fields: Any) -> tuple[str | None, int | None]:
    """The answer, and the tokens of its thoughts."""
    done = client.chat.completions.create(
        model=model, messages=ASK, temperature=0, max_tokens=LONGEST, logit_bias={"2": -100}, **fields
    )
    assert done.usage is not None
    details = done.usage.completion_tokens_details
    assert details is not None
    return done.choices[0].message.content, details.reasoning_tokens


def trained(model: LanguageModel, budget: int | None) -> Rollout:
    """What the engine writes in training."""
    thinking = None if budget is None else ThinkingBudget(tokens=budget, end=END)
    sampling = Sampling(group_size=1, max_new_tokens=LONGEST, temperature=0, thinking=thinking)
    messages = (Message(role="user", content="Hi"),)
    prompt = render_prompt(model, Example(id="p", messages=messages, item={}), LONGEST)
    with closing(NativeEngine(model)) as engine:
        (group,) = engine.generate([prompt], sampling)
    return ThoughtReader.of(model.tokenizer).read(group.rollouts[0])


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        ({"extra_body": {"thinking_token_budget": 6}}, 6),
        ({"reasoning_effort": "none"}, 0),
        ({"reasoning_effort": "minimal"}, LONGEST // 8),
        ({"reasoning_effort": "low"}, LONGEST // 4),
        ({"reasoning_effort": "medium"}, LONGEST // 2),
        ({"reasoning_effort": "high"}, None),
        ({}, None),
    ],
)
def test_a_thought_is_as_long_and_counted_as_in_training(
    both: openai.OpenAI, thinker: LanguageModel, fields: dict[str, Any], budget: int | None
) -> None:
    wanted = trained(thinker, budget)
    assert ask(both, **fields) == (wanted.text, wanted.reasoning_tokens)


def test_an_effort_means_nothing_to_a_model_that_has_no_thoughts(both: openai.OpenAI) -> None:
    assert ask(both, "tiny", reasoning_effort="low") == ask(both, "tiny")


def test_an_effort_does_nothing_where_the_end_of_a_thought_would_be_the_whole_answer(both: openai.OpenAI) -> None:
    def say(**fields: Any) -> str | None:
        done = both.chat.completions.create(model="thinker", messages=ASK, max_tokens=2, temperature=0, **fields)
        text: str | None = done.choices[0].message.content
        return text

    assert say(reasoning_effort="none") == say()


@pytest.mark.parametrize(
    ("name", "fields", "param"),
    [
        ("tiny", {"thinking_token_budget": 3}, "thinking_token_budget"),
        ("thinker", {"thinking_token_budget": LONGEST}, "thinking_token_budget"),
        ("thinker", {"thinking_token_budget": -1}, "thinking_token_budget"),
        ("thinker", {"thinking_token_budget": 3, "reasoning_effort": "low"}, "reasoning_effort"),
        ("thinker", {"thinking_token_budget": 3, "stop": "\n"}, "stop"),
        ("thinker", {"reasoning_effort": "much"}, "reasoning_effort"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(both: openai.OpenAI, name: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(both, name, extra_body=fields)
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["thinker", "tiny"])
@pytest.mark.parametrize("budget", [{"thinking_token_budget": 0}, {"reasoning_effort": "low"}])
@pytest.mark.parametrize(("over", "longest"), [(50, None), (0, None), (-LONGEST // 2, LONGEST)])
def test_a_prompt_longer_than_the_context_is_told_whatever_the_budget(
    both: openai.OpenAI, name: str, budget: dict[str, Any], over: int, longest: int | None
) -> None:
    messages: Any = [{"role": "user", "content": "x" * (LIMITS.context_tokens + over)}]
    with pytest.raises(openai.BadRequestError) as caught:
        both.chat.completions.create(model=name, messages=messages, max_tokens=longest, extra_body=budget)
    assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")
    first, second = re.findall(r"(\d+) tokens", caught.value.message)
    assert int(first) > LIMITS.context_tokens - (longest or 1)
    assert second == str(LIMITS.context_tokens)


def test_a_budget_of_nothing_is_not_told_to_be_smaller(both: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="leave it out") as caught:
        both.chat.completions.create(
            model="thinker", messages=ASK, max_tokens=2, extra_body={"thinking_token_budget": 0}
        )
    assert caught.value.param == "thinking_token_budget"
