"""A budget for thoughts, in both ways of decoding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.thinking import ThinkingLimit
from verifine.rollout.native.native_engine import NativeEngine
from verifine.rollout.native.static import CHECK_INTERVAL
from verifine.testing import save_tiny_reasoning_model
from verifine.types import Group, Prompt, Rollout, Sampling, ThinkingBudget

FREE = Sampling(group_size=6, max_new_tokens=CHECK_INTERVAL + 20, seed=3, step=5)
BUDGET = replace(FREE, thinking=ThinkingBudget(tokens=9, end="So.\n</think>\n\n"))
END = len("So.\n") + 1 + len("\n\n")
OPENINGS = ("", "<think>\n", "<think>\n\n</think>\n\n", "<think>")


@pytest.fixture
def model(qwen3_template: str, tmp_path: Path) -> LanguageModel:
    folder = save_tiny_reasoning_model(tmp_path, qwen3_template)
    return load_model(ProvisionedModel(name="tiny-qwen3", folder=folder, source="random"), "float32")


def prompts(model: LanguageModel) -> list[Prompt]:
    texts = [f"{index} Largest of {'3, ' * index}{opened}" for index, opened in enumerate(OPENINGS)]
    return [
        Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}, opened=opened)
        for text, opened in zip(texts, OPENINGS, strict=True)
    ]


def answers(groups: list[Group]) -> list[Rollout]:
    return [rollout for group in groups for rollout in group.rollouts]


@pytest.mark.parametrize("is_static", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
def test_a_thought_is_ended_at_its_budget_and_the_answer_goes_on(
    is_static: bool, temperature: float, model: LanguageModel
) -> None:
    sampling, limit = replace(BUDGET, temperature=temperature), ThinkingLimit.of(model, BUDGET)
    assert limit is not None
    engine = NativeEngine(model, is_static=is_static)
    rollouts = answers(engine.generate(prompts(model), sampling))
    ended = [rollout for rollout in rollouts if rollout.forced]
    assert {rollout.prompt.opened for rollout in ended} >= {"<think>\n", "<think>"}
    for rollout in rollouts:
        ids, logprobs = rollout.token_ids, rollout.behaviour_logprobs
        assert rollout.forced == tuple(limit.forced_places(rollout.prompt.opened, ids))
        assert [ids[place] for place in rollout.forced][:END] == list(limit.end)[: len(rollout.forced)]
        assert all(logprobs[place] == 0.0 for place in rollout.forced)
        assert "So.\n</think>\n\n" in rollout.text or len(rollout.forced) < END
    # What is chosen has the log-probability that the model gives it behind what was forced.
    for rollout, given in zip(rollouts, engine.logprobs(rollouts, sampling), strict=True):
        assert rollout.behaviour_logprobs == pytest.approx(given, abs=1e-4)


def test_both_ways_of_decoding_write_the_same(model: LanguageModel) -> None:
    usual = answers(NativeEngine(model).generate(prompts(model), BUDGET))
    fixed = answers(NativeEngine(model, is_static=True).generate(prompts(model), BUDGET))
    assert [(each.token_ids, each.forced) for each in fixed] == [(each.token_ids, each.forced) for each in usual]


@pytest.mark.parametrize("is_static", [False, True])
def test_a_budget_changes_nothing_before_it_is_spent(is_static: bool, model: LanguageModel) -> None:
    engine = NativeEngine(model, is_static=is_static)
    free = answers(engine.generate(prompts(model), FREE))
    bound = answers(engine.generate(prompts(model), BUDGET))
    assert any(not rollout.forced for rollout in bound)
    for one, other in zip(free, bound, strict=True):
        first = other.forced[0] if other.forced else None
        assert one.token_ids[:first] == other.token_ids[:first]
    ample = replace(FREE, thinking=ThinkingBudget(tokens=FREE.max_new_tokens - END - 1, end="So.\n</think>\n\n"))
    for one, other in zip(free, answers(engine.generate(prompts(model), ample)), strict=True):
        first = other.forced[0] if other.forced else None
        assert one.token_ids[:first] == other.token_ids[:first]


@pytest.mark.slow
@pytest.mark.parametrize("is_static", [False, True])
def test_an_answer_does_not_depend_on_the_rows_that_it_shares(is_static: bool, model: LanguageModel) -> None:
    # In float64, so that no draw falls where rounding decides, which depends on how many rows are multiplied.
    model.network.double()
    exact = model.with_compute_dtype(torch.float64)
    engine, asked = NativeEngine(exact, is_static=is_static), prompts(model)
    # At this temperature the samples of a group begin alike, so they share rows where the end is forced.
    sampling = replace(BUDGET, temperature=0.2)
    together = answers(engine.generate(asked, sampling))
    alone = [
        rollout
        for prompt in asked
        for sample in range(sampling.group_size)
        for rollout in answers(engine.generate([prompt], sampling, [range(sample, sample + 1)]))
    ]
    assert [(each.token_ids, each.forced) for each in alone] == [(each.token_ids, each.forced) for each in together]
