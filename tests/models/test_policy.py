from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from verifine.machine.disk import LOCAL_DISK
from verifine.models.fingerprint import take_fingerprint
from verifine.models.load import LanguageModel
from verifine.models.network.lora import attach_lora
from verifine.models.policy import ModelPolicy
from verifine.testing import load_tiny_model
from verifine.types import FinishReason, Prompt, Rollout, Sampling

SAMPLING = Sampling(group_size=1, max_new_tokens=8, temperature=0.7)


def rollout(prompt: tuple[int, ...], token_ids: tuple[int, ...]) -> Rollout:
    return Rollout(
        prompt=Prompt(id=str(prompt), token_ids=prompt, item={}),
        token_ids=token_ids,
        behaviour_logprobs=(),
        text="",
        finish_reason=FinishReason.LENGTH,
    )


# In no order, with a common beginning, and one without tokens.
ROLLOUTS = [rollout((9, 4), (7, 8, 7)), rollout((5, 6), ()), rollout((5, 6, 7), (30, 31)), rollout((9, 4), (7, 8, 9))]


def plain_logits(model: LanguageModel, rollouts: list[Rollout]) -> torch.Tensor:
    """One rollout at a time, through transformers' own forward pass."""
    model.network.set_attn_implementation("eager")
    parts = []
    for each in rollouts:
        ids = torch.tensor([[*each.prompt.token_ids, *each.token_ids]])
        start = len(each.prompt.token_ids) - 1
        parts.append(model.network(input_ids=ids).logits[0, start : start + len(each.token_ids)])
    model.network.set_attn_implementation("verifine")
    return torch.cat(parts)


@torch.no_grad()
def test_each_rollout_has_the_log_probabilities_that_it_has_alone(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    policy, logits = ModelPolicy(model), plain_logits(model, ROLLOUTS)
    found = policy.logprobs(ROLLOUTS, SAMPLING)
    assert [len(row) for row in found] == [3, 0, 2, 3]
    tokens = torch.tensor([token for each in ROLLOUTS for token in each.token_ids])
    expected = (logits / 0.7).log_softmax(dim=-1).gather(1, tokens[:, None]).squeeze(1)
    torch.testing.assert_close(torch.tensor([value for row in found for value in row]), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(policy.logits(ROLLOUTS), logits, rtol=0, atol=1e-4)


def test_rollouts_without_tokens_have_no_log_probabilities(tmp_path: Path) -> None:
    policy = ModelPolicy(load_tiny_model(tmp_path))
    assert policy.logprobs([], SAMPLING) == []
    assert policy.logprobs(ROLLOUTS[1:2], SAMPLING) == [[]]


def test_greedy_log_probabilities_are_those_at_temperature_1(tmp_path: Path) -> None:
    policy = ModelPolicy(load_tiny_model(tmp_path))
    greedy = Sampling(group_size=1, max_new_tokens=8, temperature=0.0)
    assert policy.logprobs(ROLLOUTS, greedy) == policy.logprobs(ROLLOUTS, Sampling(group_size=1, max_new_tokens=8))


def test_only_a_policy_with_adapters_has_starting_log_probabilities(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    policy = ModelPolicy(model)
    assert policy.starting_logprobs(ROLLOUTS, SAMPLING) is None
    start = policy.logprobs(ROLLOUTS, SAMPLING)
    policy = ModelPolicy(attach_lora(model, 4, 8, "all-linear", seed=0))
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    moved, starting = policy.logprobs(ROLLOUTS, SAMPLING), policy.starting_logprobs(ROLLOUTS, SAMPLING)
    assert starting is not None
    assert starting[0] == pytest.approx(start[0], abs=1e-6)
    assert moved[0] != pytest.approx(start[0], abs=1e-3)


def test_what_is_exported_has_the_weights_of_the_fingerprint(tmp_path: Path) -> None:
    policy = ModelPolicy(load_tiny_model(tmp_path / "model"))
    policy.export(tmp_path / "exported", LOCAL_DISK)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "exported", dtype=torch.float32)
    assert take_fingerprint(loaded.state_dict()) == policy.fingerprint()
