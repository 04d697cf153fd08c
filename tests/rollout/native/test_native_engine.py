from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.config import NativeEngineConfig
from verifine.errors import EngineError
from verifine.models.load import LanguageModel
from verifine.models.network.forward import tree_logprobs
from verifine.models.network.quantized import QuantizedCopy
from verifine.models.network.tree import Branch, grow_tree
from verifine.rollout.native.native_engine import NativeEngine
from verifine.rollout.native.static import CHECK_INTERVAL
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.types import FinishReason, Group, Prompt, Rollout, Sampling, VersionSpan

SAMPLING = Sampling(group_size=4, max_new_tokens=12, seed=3, step=5)


def prompts(model: LanguageModel, texts: list[str]) -> list[Prompt]:
    return [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in texts]


def tokens(groups: list[Group]) -> list[list[tuple[int, ...]]]:
    return [[rollout.token_ids for rollout in group.rollouts] for group in groups]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_answers_are_those_of_generate_token_for_token(architecture: Architecture, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, architecture)
    # Prompts of different lengths, with and without a common beginning, decoded together.
    asked = prompts(model, ["Largest of 3, 4", "Largest of 31, 4, 77", "x", "Hello there, how are you?"])
    groups = NativeEngine(model).generate(asked, Sampling(group_size=1, max_new_tokens=20, temperature=0.0))
    model.network.set_attn_implementation("eager")
    for group in groups:
        input_ids = torch.tensor([group.prompt.token_ids])
        output = model.network.generate(
            input_ids, attention_mask=torch.ones_like(input_ids), max_new_tokens=20, do_sample=False
        )
        assert output[0, len(group.prompt.token_ids) :].tolist() == list(group.rollouts[0].token_ids)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_fixed_shapes_give_the_same_rollouts(architecture: Architecture, temperature: float, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, architecture)
    asked = prompts(model, ["Largest of 3, 4", "Largest of 31, 4, 77", "x"])
    # More tokens than the host waits for, so that it looks more than once, and answers that end in between.
    sampling = replace(SAMPLING, max_new_tokens=2 * CHECK_INTERVAL + 3, temperature=temperature, stop=("a",))
    usual = NativeEngine(model).generate(asked, sampling)
    fixed = NativeEngine(model, is_static=True).generate(asked, sampling)
    assert tokens(fixed) == tokens(usual)
    in_parts = NativeEngine(model, cache_bytes=1, is_static=True).generate(asked, sampling)
    assert tokens(in_parts) == tokens(usual)
    for ours, theirs in zip(fixed, usual, strict=True):
        for mine, other in zip(ours.rollouts, theirs.rollouts, strict=True):
            assert mine.behaviour_logprobs == pytest.approx(other.behaviour_logprobs, abs=1e-4)
            assert (mine.finish_reason, mine.text) == (other.finish_reason, other.text)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ended_answers_make_room_for_waiting_prompts_with_the_same_rollouts(
    architecture: Architecture, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path, architecture)
    asked = prompts(model, ["Largest of 3, 4", "x", "Hello there, how are you?", "abc", "abd?", "zz", "Largest of 31"])
    sampling = replace(SAMPLING, max_new_tokens=40)
    group_bytes = model.cached_bytes_per_token * (2 * 25 + 4 * 40)
    narrow = NativeEngine(model, cache_bytes=2 * group_bytes).generate(asked, sampling)
    assert tokens(narrow) == tokens(NativeEngine(model).generate(asked, sampling))


EXACT = replace(SAMPLING, is_exact=True)


def test_an_int8_copy_is_sampled_from_unless_the_policy_itself_is_asked_for(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    quantized = QuantizedCopy(model.network, model.vocabulary, head=True)
    engine = NativeEngine(model, quantized=quantized)
    asked = prompts(model, ["abc", "zz"])
    assert tokens(engine.generate(asked, EXACT)) == tokens(NativeEngine(model).generate(asked, SAMPLING))
    assert 1e-4 < mismatch(engine, asked) < 0.2
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(0.7)
    assert mismatch(engine, asked) > 0.2, "the copy is of the weights as they were"
    engine.load_weights(model.network.state_dict(), version=1)
    assert 1e-4 < mismatch(engine, asked) < 0.2


def mismatch(engine: NativeEngine, asked: list[Prompt]) -> float:
    """The mean difference of log-probabilities between int8 sampling and the model itself."""
    groups = engine.generate(asked, SAMPLING)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    return mean_difference(rollouts, engine.logprobs(rollouts, EXACT))


def mean_difference(rollouts: list[Rollout], logprobs: list[list[float]]) -> float:
    behaviour = torch.tensor([value for rollout in rollouts for value in rollout.behaviour_logprobs])
    return (behaviour - torch.tensor([value for row in logprobs for value in row])).abs().mean().item()


def test_an_engine_tells_what_its_copy_takes_and_rounds(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    plain = NativeEngine(model).traits
    assert (plain.is_exact, plain.resident_bytes, plain.rounding_nats) == (True, 0, 1e-3)
    copied = NativeEngine(model, quantized=QuantizedCopy(model.network, model.vocabulary, head=True)).traits
    assert (copied.is_exact, copied.rounding_nats) == (False, 0.6)
    # A byte a weight, besides the scales, which are much of a model that is 64 wide.
    planned = NativeEngineConfig(precision="int8").copy_bytes(model.parameter_count)
    assert planned <= copied.resident_bytes <= 1.25 * planned


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_behaviour_logprobs_are_the_models_own(architecture: Architecture, temperature: float, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, architecture)
    engine = NativeEngine(model)
    sampling = replace(SAMPLING, temperature=temperature, group_size=8, max_new_tokens=60)
    rollouts = [r for g in engine.generate(prompts(model, ["abc", "abd?", "zz"]), sampling) for r in g.rollouts]
    assert len({len(rollout.token_ids) for rollout in rollouts}) > 1, "no rollout ended early, so nothing was compacted"
    learner, asked = learners_logprobs(model, rollouts, temperature), engine.logprobs(rollouts, sampling)
    for rollout, learned, given in zip(rollouts, learner, asked, strict=True):
        assert rollout.behaviour_logprobs == pytest.approx(learned, abs=1e-4)
        assert rollout.behaviour_logprobs == pytest.approx(given, abs=1e-4)


@torch.no_grad()
def learners_logprobs(model: LanguageModel, rollouts: list[Rollout], temperature: float) -> list[list[float]]:
    branches = [Branch(prompt=each.prompt.token_ids, completions=[each.token_ids]) for each in rollouts]
    return [tree_logprobs(model.trunk, model.head, grow_tree([b]), temperature)[0].tolist() for b in branches]


def test_logprobs_are_those_of_what_is_sampled_from(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    engine = NativeEngine(model, quantized=QuantizedCopy(model.network, model.vocabulary, head=True))
    sampling = replace(SAMPLING, temperature=0.7)
    rollouts = [r for g in engine.generate(prompts(model, ["abc", "zz"]), sampling) for r in g.rollouts]
    exact = replace(sampling, is_exact=True)
    apart = mean_difference(rollouts, engine.logprobs(rollouts, sampling))
    # Not to rounding: where a processor rounds activations to another int8 number, a token moves by some 0.02 nats.
    assert apart < 0.1 * mean_difference(rollouts, engine.logprobs(rollouts, exact))
    # At temperature 0 a rollout's log-probabilities are those at temperature 1.
    greedy = replace(SAMPLING, temperature=0.0)
    (first, *_) = engine.generate(prompts(model, ["abc"]), greedy)[0].rollouts
    assert engine.logprobs([first], greedy)[0] == pytest.approx(list(first.behaviour_logprobs), abs=1e-4)
    assert engine.logprobs([], SAMPLING) == []


def test_a_rollout_does_not_depend_on_what_is_sampled_beside_it(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    engine = NativeEngine(model)
    asked = prompts(model, ["abc", "abd?", "zz", "abcdefg"])
    together = tokens(engine.generate(asked, SAMPLING))
    assert tokens(engine.generate(asked[::-1], SAMPLING)) == together[::-1]
    assert [tokens(engine.generate([prompt], SAMPLING))[0] for prompt in asked] == together
    assert tokens(NativeEngine(model, cache_bytes=1).generate(asked, SAMPLING)) == together
    wider = engine.generate(asked, replace(SAMPLING, group_size=6))
    assert [group[:4] for group in tokens(wider)] == together


def test_another_step_or_seed_gives_other_rollouts(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    engine = NativeEngine(model)
    asked = prompts(model, ["abc"])
    first = tokens(engine.generate(asked, SAMPLING))
    assert tokens(engine.generate(asked, SAMPLING)) == first
    assert tokens(engine.generate(asked, replace(SAMPLING, step=6))) != first
    assert tokens(engine.generate(asked, replace(SAMPLING, seed=4))) != first


def test_sampled_frequencies_are_the_models_probabilities(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    (prompt,) = prompts(model, ["abc"])
    (group,) = NativeEngine(model).generate([prompt], Sampling(group_size=4000, max_new_tokens=1))
    with torch.no_grad():
        model.network.set_attn_implementation("eager")
        expected = model.network(input_ids=torch.tensor([prompt.token_ids])).logits[0, -1].softmax(dim=-1)
    counts = torch.bincount(torch.tensor([r.token_ids[0] for r in group.rollouts]), minlength=len(expected))
    deviation = (counts / 4000 - expected).abs() / (expected * (1 - expected) / 4000).sqrt()
    assert deviation[expected > 0.01].max() < 4.5


def test_a_rollout_ends_with_the_end_of_turn_token_or_the_limit(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    groups = NativeEngine(model).generate(prompts(model, ["abc", "zz"]), replace(SAMPLING, group_size=64))
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    assert {rollout.finish_reason for rollout in rollouts} == {FinishReason.STOP, FinishReason.LENGTH}
    for rollout in rollouts:
        ended = rollout.token_ids[-1] in model.stop_token_ids
        assert ended == (rollout.finish_reason is FinishReason.STOP)
        assert not set(rollout.token_ids[:-1]) & model.stop_token_ids
        assert ended or (rollout.truncated and len(rollout.token_ids) == 12)
        assert "</s>" not in rollout.text


def test_a_stop_string_ends_a_rollout_and_is_kept(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    engine = NativeEngine(model)
    asked = prompts(model, ["abc"])
    free = engine.generate(asked, SAMPLING)[0].rollouts[0]
    stop = free.text[3:5]
    stopped = engine.generate(asked, replace(SAMPLING, stop=(stop,)))[0].rollouts[0]
    assert stopped.text == free.text[: free.text.index(stop) + len(stop)]
    assert stopped.finish_reason is FinishReason.STOP


def test_loaded_weights_are_sampled_from_and_the_version_is_recorded(tmp_path: Path) -> None:
    first, second = load_tiny_model(tmp_path / "a", seed=0), load_tiny_model(tmp_path / "b", seed=1)
    asked = prompts(first, ["abc", "zz"])
    engine = NativeEngine(first)
    before = tokens(engine.generate(asked, SAMPLING))
    engine.load_weights(second.network.state_dict(), version=7)
    after = engine.generate(asked, SAMPLING)
    assert tokens(after) != before
    assert tokens(after) == tokens(NativeEngine(second).generate(asked, SAMPLING))
    for rollout in (rollout for group in after for rollout in group.rollouts):
        assert rollout.versions == (VersionSpan(version=7, tokens=len(rollout.token_ids)),)


def test_a_prompt_that_leaves_no_room_for_its_answer_is_refused(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    with pytest.raises(
        EngineError, match=r"prompt a+ has 250 tokens and may get 12 more.*Lower sampling.max_new_tokens"
    ):
        NativeEngine(model).generate(prompts(model, ["a" * 250]), SAMPLING)
