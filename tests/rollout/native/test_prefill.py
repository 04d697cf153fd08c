from __future__ import annotations

from pathlib import Path

import pytest
import torch

from verifine.models.network.tree import Branch, grow_tree
from verifine.rollout.native.prefill import CHUNK_TOKENS, Prefill
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_prompts_read_in_chunks_end_as_those_read_alone(architecture: Architecture, tmp_path: Path) -> None:
    trunk = load_tiny_model(tmp_path, architecture).trunk
    generator = torch.Generator().manual_seed(0)
    prompts = [tuple(torch.randint(3, 90, (size,), generator=generator).tolist()) for size in (200, 190, 180, 1) * 2]
    # One begins as another does.
    prompts.append((*prompts[0][:150], 5, 6, 7))
    tree = grow_tree([Branch(prompt=prompt) for prompt in prompts])
    assert len(tree.token_ids) > CHUNK_TOKENS, "there is only one chunk"
    together = Prefill(tree)
    hidden = together.read(trunk)
    for place, prompt in enumerate(prompts):
        alone = Prefill(grow_tree([Branch(prompt=prompt)]))
        torch.testing.assert_close(hidden[place : place + 1], alone.read(trunk), rtol=0, atol=1e-4)
        for stored, own in zip((*together.keys, *together.values), (*alone.keys, *alone.values), strict=True):
            torch.testing.assert_close(stored[:, tree.prompts[place]], own, rtol=0, atol=1e-4)
