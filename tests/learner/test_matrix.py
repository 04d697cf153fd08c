"""Engine and learner against one sequence at a time in transformers' own forward pass, in every combination.

Architecture x precision x size of the group x length of the answers x what prompts have in common x packing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from verifine.algorithms import group_normalized
from verifine.algorithms.algorithm import default_algorithm
from verifine.batch import RolloutBatch
from verifine.learner.local import LocalLearner
from verifine.models.load import LanguageModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_training_batch
from verifine.types import Grade, Group, Prompt, Sampling

PROMPTS = {
    "apart": ("Largest of 3, 4", "x", "zwei Zahlen?"),
    "alike": ("Largest of 3, 4", "Largest of 3, 4, 77", "Largest of 3"),
}
PACKINGS = {"everything at once": 10_000, "some": 60, "one rollout at a time": 1}

LOGPROB_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.15}
GRADIENT_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Of the whole gradient's norm. bfloat16 has 8 bits, and is compared with float32."""


def load(folder: Path, architecture: Architecture, dtype: torch.dtype) -> LanguageModel:
    model = load_tiny_model(folder, architecture)
    return replace(model.with_compute_dtype(dtype), stop_token_ids=frozenset())  # answers have exactly their length


def sample(engine: NativeEngine, model: LanguageModel, texts: Sequence[str], size: int, length: int) -> list[Group]:
    """Groups whose scores tell every answer from its neighbour."""
    prompts = [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in texts]
    groups = engine.generate(prompts, Sampling(group_size=size, max_new_tokens=length, seed=size, step=length))
    return [group.graded([Grade(score=float(i % 2)) for i in range(size)]) for group in groups]


def naive_logprobs(model: LanguageModel, groups: Sequence[Group]) -> list[list[Tensor]]:
    """Of every rollout's tokens, [P][G]: each sequence is read alone."""
    return [
        [
            model.network(input_ids=torch.tensor([[*group.prompt.token_ids, *rollout.token_ids]]))
            .logits[0, len(group.prompt.token_ids) - 1 : -1]
            .log_softmax(dim=-1)
            .gather(1, torch.tensor(rollout.token_ids)[:, None])
            .squeeze(1)
            for rollout in group.rollouts
        ]
        for group in groups
    ]


def naive_gradient(model: LanguageModel, groups: Sequence[Group], logprobs: list[list[Tensor]]) -> Tensor:
    """Of GRPO's loss at ratio 1."""
    rollouts = RolloutBatch.of(groups)
    advantages = group_normalized(rollouts.rewards, rollouts.valid)
    terms = [-advantages[p, g] * rollout.mean() for p, group in enumerate(logprobs) for g, rollout in enumerate(group)]
    torch.stack(terms).mean().backward()
    return torch.cat([each.grad.flatten() for each in model.network.parameters() if each.grad is not None])


def gradient(model: LanguageModel, groups: Sequence[Group], tokens: int) -> Tensor:
    """What one update moves by, read off AdamW's first moment."""
    learner = LocalLearner(model, replace(SETTINGS, micro_batch_tokens=tokens), 1.0)
    learner.update(make_training_batch(learner, groups), default_algorithm("grpo").loss)
    moments = learner.state().tensors
    names = [name for name, _ in model.network.named_parameters()]
    flat = torch.cat([moments[f"policy/exp_avg/{name}"].flatten() for name in names])
    return flat / (1 - SETTINGS.betas[0])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("size", [2, pytest.param(7, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "length", [pytest.param(1, marks=pytest.mark.slow), 5, pytest.param(23, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("texts", ["alike", pytest.param("apart", marks=pytest.mark.slow)])
def test_what_is_sampled_and_what_is_learned_are_those_of_one_sequence_at_a_time(
    architecture: Architecture, dtype: torch.dtype, size: int, length: int, texts: str, tmp_path: Path
) -> None:
    model = load(tmp_path, architecture, dtype)
    groups = sample(NativeEngine(model), model, PROMPTS[texts], size, length)

    plain = load(tmp_path, architecture, torch.float32)
    plain.network.set_attn_implementation("eager")
    expected = naive_logprobs(plain, groups)
    for group, logprobs in zip(groups, expected, strict=True):
        for rollout, theirs in zip(group.rollouts, logprobs, strict=True):
            assert len(rollout.token_ids) == length
            assert list(rollout.behaviour_logprobs) == pytest.approx(theirs.tolist(), abs=LOGPROB_TOLERANCE[dtype])

    if dtype is torch.float32:
        for engine in (NativeEngine(model, cache_bytes=1), NativeEngine(model, is_static=True)):
            again = sample(engine, model, PROMPTS[texts], size, length)
            assert [[r.token_ids for r in group.rollouts] for group in again] == [
                [r.token_ids for r in group.rollouts] for group in groups
            ]

    theirs = naive_gradient(plain, groups, expected)
    for packing, tokens in PACKINGS.items():
        ours = gradient(load(tmp_path, architecture, dtype), groups, tokens)
        assert (ours - theirs).norm() <= GRADIENT_TOLERANCE[dtype] * theirs.norm(), packing
