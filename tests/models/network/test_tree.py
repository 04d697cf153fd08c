from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from verifine.models.load import LanguageModel
from verifine.models.network.forward import tree_logprobs
from verifine.models.network.tree import Branch, grow_tree
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model


def plain_logprobs(model: LanguageModel, branches: Sequence[Branch], temperature: float) -> torch.Tensor:
    """One sequence at a time, through transformers' own forward pass."""
    model.network.set_attn_implementation("eager")
    found = []
    for branch in branches:
        for completion in branch.completions:
            sequence = torch.tensor([[*branch.prompt, *completion]])
            logprobs = (model.network(input_ids=sequence).logits[0] / temperature).log_softmax(dim=-1)
            start = len(branch.prompt) - 1
            found += [logprobs[start + i, token] for i, token in enumerate(completion)]
    model.network.set_attn_implementation("verifine")
    return torch.stack(found) if found else torch.tensor([])


def test_a_tree_reads_what_prompts_share_once() -> None:
    tree = grow_tree(
        [Branch(prompt=(7, 8, 1), completions=[(4, 5), (6,)]), Branch(prompt=(7, 8, 2), completions=[(9, 9, 9)])]
    )
    # Common 7 8; then 1 and the input 4 of the first completion; then 2 and the inputs 9 9.
    assert tree.token_ids.tolist() == [7, 8, 1, 4, 2, 9, 9]
    assert tree.position_ids.tolist() == [0, 1, 2, 3, 2, 3, 4]
    assert tree.spread(tree.targets).tolist() == [4, 5, 6, 9, 9, 9]
    assert tree.spread(tree.predecessors).tolist() == [2, 3, 2, 4, 5, 6]
    assert [prompt.tolist() for prompt in tree.prompts] == [[0, 1, 2], [0, 1, 4]]


BRANCHES = {
    "groups that share a prefix": [
        Branch(prompt=(5, 6, 7, 8), completions=[(9, 10, 11), (12,), (13, 14, 15, 16)]),
        Branch(prompt=(5, 6, 30, 31, 32), completions=[(20, 21), (22, 23, 24)]),
    ],
    "groups that share nothing": [
        Branch(prompt=(40, 41), completions=[(9, 10)]),
        Branch(prompt=(50, 51, 52), completions=[(20, 21), (22,)]),
    ],
    "one group": [Branch(prompt=(5, 6, 7), completions=[(8, 9), (10, 11)])],
    "a prompt that begins another": [
        Branch(prompt=(5, 6), completions=[(7, 8), (9,)]),
        Branch(prompt=(5, 6, 7), completions=[(8, 9)]),
    ],
    "the same prompt twice": [
        Branch(prompt=(5, 6, 7), completions=[(8, 9)]),
        Branch(prompt=(5, 6, 7), completions=[(10,), (11, 12)]),
    ],
    "a group without completions": [Branch(prompt=(5, 6, 7)), Branch(prompt=(5, 8), completions=[(10, 11)])],
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("name", BRANCHES)
def test_packed_logprobs_are_those_of_one_sequence_at_a_time(
    name: str, temperature: float, architecture: Architecture, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path, architecture)
    with torch.no_grad():
        packed, _ = tree_logprobs(model.trunk, model.head, grow_tree(BRANCHES[name]), temperature)
        plain = plain_logprobs(model, BRANCHES[name], temperature)
    torch.testing.assert_close(packed, plain, rtol=0, atol=1e-4)


def test_long_completions_attend_one_by_one_with_the_same_result(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    generator = torch.Generator().manual_seed(0)
    long = [tuple(torch.randint(3, 90, (200,), generator=generator).tolist()) for _ in range(4)]
    branches = [Branch(prompt=(5, 6, 7), completions=long), Branch(prompt=(5, 9), completions=[(10, 11)])]
    tree = grow_tree(branches)
    assert len(tree.blocks) > len(long)
    with torch.no_grad():
        packed, _ = tree_logprobs(model.trunk, model.head, tree, 1.0)
        plain = plain_logprobs(model, branches, 1.0)
    torch.testing.assert_close(packed, plain, rtol=0, atol=1e-4)


def test_gradients_of_a_tree_are_those_of_one_sequence_at_a_time(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, "qwen3")
    model.network.double()
    model = model.with_compute_dtype(torch.float64)
    branches = BRANCHES["groups that share a prefix"]
    slopes = torch.linspace(-1, 1, 13, dtype=torch.float64)

    packed, _ = tree_logprobs(model.trunk, model.head, grow_tree(branches), 0.7)
    (slopes * packed).sum().backward()
    packed_gradients = {name: p.grad.clone() for name, p in model.network.named_parameters() if p.grad is not None}
    model.network.zero_grad()
    (slopes * plain_logprobs(model, branches, 0.7)).sum().backward()
    plain_gradients = {name: p.grad for name, p in model.network.named_parameters()}

    assert packed_gradients.keys() == plain_gradients.keys()
    for name, gradient in packed_gradients.items():
        # transformers normalises and takes softmaxes in float32, whatever the weights are in.
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=1e-3, atol=1e-5)
