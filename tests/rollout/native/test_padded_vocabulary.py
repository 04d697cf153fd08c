"""Models with more rows in their vocabulary than tokens: the others are never sampled, whatever the mode."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from verifine.config import EngineConfig
from verifine.errors import EngineError
from verifine.launch.build import build_engine
from verifine.models.load import LanguageModel, load_model
from verifine.models.network.lora import attach_lora
from verifine.models.network.quantized import QuantizedCopy, int8_is_exact
from verifine.models.policy import ModelPolicy
from verifine.models.provision.stored import ProvisionedModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model, save_tiny_model
from verifine.types import Prompt, Rollout, Sampling

SAMPLING = Sampling(group_size=16, max_new_tokens=24, seed=3)
TOKENS, PADDING = 99, 29
MODES = ["plain", "fixed shapes", "int8", "int8 without head", "bfloat16", "one group at a time"]


def slow(value: object) -> Any:
    return pytest.param(value, marks=pytest.mark.slow)


def make_engine(mode: str, model: LanguageModel) -> NativeEngine:
    if mode.startswith("int8") and not int8_is_exact():
        pytest.skip("this processor adds int8 products in 16 bits")
    match mode:
        case "int8" | "int8 without head":
            quantized = QuantizedCopy(model.network, model.vocabulary, head=mode == "int8")
            return NativeEngine(model, quantized=quantized)
        case "bfloat16":
            return NativeEngine(model.with_compute_dtype(torch.bfloat16))
        case "one group at a time":
            return NativeEngine(model, cache_bytes=1)
        case _:
            return NativeEngine(model, is_static=mode == "fixed shapes")


def ask(model: LanguageModel) -> list[Prompt]:
    texts = ("abc", "abd?", "zz")
    return [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in texts]


def sample(engine: NativeEngine, model: LanguageModel, sampling: Sampling = SAMPLING) -> list[Rollout]:
    return [rollout for group in engine.generate(ask(model), sampling) for rollout in group.rollouts]


def load(folder: Path) -> LanguageModel:
    return load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")


@pytest.mark.parametrize("temperature", [0.0, slow(0.3), 1.0, slow(10.0)])
@pytest.mark.parametrize("mode", MODES)
def test_padding_is_never_sampled(mode: str, temperature: float, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, padding=PADDING)
    rollouts = sample(make_engine(mode, model), model, replace(SAMPLING, temperature=temperature))
    assert max(max(rollout.token_ids) for rollout in rollouts) < TOKENS


def test_without_the_vocabulary_padding_would_be_sampled(tmp_path: Path) -> None:
    """So the test above can fail."""
    model = load_tiny_model(tmp_path, padding=PADDING)
    careless = replace(model, vocabulary=replace(model.vocabulary, size=TOKENS + PADDING))
    drawn = [token_id for rollout in sample(NativeEngine(careless), model) for token_id in rollout.token_ids]
    assert sum(token_id >= TOKENS for token_id in drawn) > len(drawn) / 10


@pytest.mark.parametrize("architecture", ["llama", *(slow(each) for each in ARCHITECTURES if each != "llama")])
def test_a_padded_model_answers_as_without_its_padding(architecture: Architecture, tmp_path: Path) -> None:
    plain = load_tiny_model(tmp_path / "plain", architecture)
    padded = load_tiny_model(tmp_path / "padded", architecture, padding=PADDING)
    for one, other in zip(sample(NativeEngine(plain), plain), sample(NativeEngine(padded), padded), strict=True):
        assert (other.token_ids, other.text, other.finish_reason) == (one.token_ids, one.text, one.finish_reason)
        assert other.behaviour_logprobs == pytest.approx(one.behaviour_logprobs, abs=1e-4)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "bfloat16"])
@pytest.mark.parametrize("temperature", [slow(0.5), 1.0])
def test_engine_and_policy_agree_on_a_padded_model(mode: str, temperature: float, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, padding=PADDING)
    engine, sampling = make_engine(mode, model), replace(SAMPLING, temperature=temperature)
    rollouts = sample(engine, model, sampling)
    exact = replace(sampling, is_exact=True)
    ours, theirs = engine.logprobs(rollouts, exact), ModelPolicy(model).logprobs(rollouts, sampling)
    assert all(row == pytest.approx(other, abs=1e-4) for row, other in zip(ours, theirs, strict=True))
    sampled = engine.logprobs(rollouts, sampling)
    for rollout, row in zip(rollouts, sampled, strict=True):
        assert row == pytest.approx(rollout.behaviour_logprobs, abs=engine.traits.rounding_nats / temperature)


def test_the_policy_gives_padding_no_probability(tmp_path: Path) -> None:
    model = attach_lora(load_tiny_model(tmp_path, "qwen3", padding=PADDING), 4, 8, "all-linear", seed=0)
    rollouts = sample(NativeEngine(model), model)[:4]
    policy = ModelPolicy(model)
    probabilities = policy.logits(rollouts).softmax(dim=-1)
    assert probabilities.shape[1] == TOKENS + PADDING
    assert not probabilities[:, TOKENS:].any()
    starting = policy.starting_logprobs(rollouts, SAMPLING)
    assert starting == policy.logprobs(rollouts, SAMPLING), "fresh adapters change nothing"


def test_ids_between_tokens_are_never_sampled(tmp_path: Path) -> None:
    """As of Phi-4-mini: ten characters of the tokenizer have ids at the end, and nothing has theirs."""
    folder = save_tiny_model(tmp_path, padding=PADDING)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    moved = dict(zip("abcdefghij", range(TOKENS + 10, TOKENS + 20), strict=True))
    gaps = frozenset(vocabulary[letter] for letter in moved) | frozenset(range(TOKENS, TOKENS + 10))
    vocabulary.update(moved)
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    model = load(folder)
    assert (model.vocabulary.size, model.vocabulary.gaps) == (TOKENS + 20, gaps)
    for mode in ("plain", "fixed shapes", "int8" if int8_is_exact() else "plain"):
        drawn = {token_id for rollout in sample(make_engine(mode, model), model) for token_id in rollout.token_ids}
        assert not drawn & gaps
        assert drawn & set(moved.values()), "tokens behind the gaps are sampled"
        assert max(drawn) < TOKENS + 20


def test_the_engine_of_a_config_knows_the_vocabulary(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, padding=PADDING)
    for precision in ("same", "int8") if int8_is_exact() else ("same",):
        engine = build_engine(EngineConfig(precision=precision), model)
        drawn = {t for group in engine.generate(ask(model), SAMPLING) for r in group.rollouts for t in r.token_ids}
        assert max(drawn) < TOKENS


def test_a_prompt_with_an_id_that_no_token_has_is_refused(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, padding=PADDING)
    for unknown in (TOKENS, TOKENS + PADDING, -1):
        with pytest.raises(EngineError, match=f"prompt p contains the id {unknown}"):
            NativeEngine(model).generate([Prompt(id="p", token_ids=(5, unknown), item={})], SAMPLING)
