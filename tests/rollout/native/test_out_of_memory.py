"""An engine that runs out of memory: the same rollouts, fewer at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from verifine.errors import EngineError
from verifine.models.load import LanguageModel
from verifine.models.memory.oom import OomCounter
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import load_tiny_model
from verifine.types import Group, Prompt, Sampling

SAMPLING = Sampling(group_size=4, max_new_tokens=12, seed=3, step=5)


def prompts(model: LanguageModel) -> list[Prompt]:
    texts = ["abc", "abd?", "zz", "abcdefg", "Say 1", "Say 2", "x", "What?"]
    return [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in texts]


def tokens(groups: list[Group]) -> list[list[tuple[int, ...]]]:
    return [[rollout.token_ids for rollout in group.rollouts] for group in groups]


def fail_above(model: LanguageModel, most: int) -> list[int]:
    """Memory runs out in a pass of more than `most` tokens; returns the sizes of all passes."""
    sizes: list[int] = []

    def hook(module: nn.Module, args: tuple[torch.Tensor]) -> None:
        sizes.append(args[0].numel())
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.network.get_input_embeddings().register_forward_pre_hook(hook)
    return sizes


@pytest.mark.slow
def test_rollouts_are_the_same_where_fewer_fit_at_a_time(tmp_path: Path) -> None:
    model, oom_counter = load_tiny_model(tmp_path), OomCounter()
    asked = prompts(model)
    expected = tokens(NativeEngine(model).generate(asked, SAMPLING))
    sizes = fail_above(model, 12)
    engine = NativeEngine(model, oom_counter=oom_counter)
    assert tokens(engine.generate(asked, SAMPLING)) == expected
    assert max(sizes) > 12
    # Eight groups at a time, then four, then two.
    assert oom_counter.count == 2
    sizes.clear()
    assert tokens(engine.generate(asked, SAMPLING)) == expected
    assert max(sizes) <= 12
    assert oom_counter.count == 2


@pytest.mark.slow
def test_a_group_that_does_not_fit_alone_is_told_in_a_sentence(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    fail_above(model, 0)
    with pytest.raises(EngineError, match=r"4 of up to 12 tokens.*Lower sampling.max_new_tokens.*model.name"):
        NativeEngine(model).generate(prompts(model), SAMPLING)
