from __future__ import annotations

from pathlib import Path

import pytest
import torch

from verifine.models.network.flex import FlexTreeAttention
from verifine.models.network.forward import tree_logprobs
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model

BRANCHES = [
    Branch(prompt=(5, 6, 7, 8), completions=[(9, 10, 11), (9, 10, 12, 13, 14, 15, 16, 17), (13, 14, 15, 16)]),
    Branch(prompt=(5, 6, 30, 31, 32, 33, 34), completions=[(20, 21), (22, 23, 24)]),
]


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_fused_kernel_sees_what_blocks_see(architecture: Architecture, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, architecture)
    tree = grow_tree(BRANCHES)
    with torch.no_grad():
        fused, in_blocks = (
            model.trunk.hidden_states(tree.token_ids, tree.position_ids, attention)
            for attention in (FlexTreeAttention(tree), TreeAttention(tree))
        )
    torch.testing.assert_close(fused, in_blocks, rtol=0, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_on_a_gpu_are_those_on_the_cpu(architecture: Architecture, tmp_path: Path) -> None:
    gradients = []
    for device in ("cpu", "cuda"):
        model = load_tiny_model(tmp_path, architecture)
        network = model.network.to(device)
        tree = grow_tree(BRANCHES, torch.device(device))
        logprobs, _ = tree_logprobs(model.trunk, model.head, tree, 1.0)
        (logprobs * torch.linspace(-1, 1, len(logprobs), device=device)).sum().backward()
        gradients.append(torch.cat([p.grad.flatten().cpu() for p in network.parameters() if p.grad is not None]))
    assert ((gradients[0] - gradients[1]).norm() / gradients[0].norm()).item() < 1e-3
