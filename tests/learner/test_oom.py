"""A learner that runs out of memory: faults are raised where the network is read, nothing else is pretended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from verifine.algorithms.algorithm import default_algorithm
from verifine.errors import TrainingError
from verifine.learner.learner import UpdateOutcome
from verifine.learner.local import LocalLearner
from verifine.learner.micro_batch_limit import MicroBatchLimit
from verifine.models.load import LanguageModel
from verifine.models.memory.oom import OomCounter
from verifine.testing import load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_batch, make_training_batch, sample_groups
from verifine.types import Group

LOSS = default_algorithm("grpo").loss


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> list[Group]:
    return sample_groups(load_tiny_model(tmp_path_factory.mktemp("groups")))


def fail_where(model: LanguageModel, is_fault: Callable[[int], bool], error: Exception | None = None) -> list[int]:
    """Raises before a forward pass of as many tokens as `is_fault` names; returns the sizes of all passes."""
    sizes: list[int] = []

    def hook(module: nn.Module, args: tuple[Tensor]) -> None:
        sizes.append(args[0].numel())
        if is_fault(sizes[-1]):
            raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    model.network.get_input_embeddings().register_forward_pre_hook(hook)
    return sizes


@contextmanager
def memory_of(model: LanguageModel, limit: int) -> Iterator[None]:
    """Memory runs out where a pass has autograd keep more than `limit` bytes."""
    kept = 0

    def begin(module: nn.Module, args: tuple[Tensor]) -> None:
        nonlocal kept
        kept = 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.nbytes
        if kept > limit:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory")
        return tensor

    model.network.get_input_embeddings().register_forward_pre_hook(begin)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield


def weights(model: LanguageModel) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in model.network.state_dict().values()])


def trained(folder: Path, groups: list[Group], tokens: int, **options: Any) -> Tensor:
    model = load_tiny_model(folder)
    learner = LocalLearner(model, replace(SETTINGS, micro_batch_tokens=tokens), 1.0, **options)
    learner.update(make_training_batch(learner, groups), LOSS)
    return weights(model)


def test_the_largest_part_is_read_first(tmp_path: Path, groups: list[Group]) -> None:
    model = load_tiny_model(tmp_path)
    sizes = fail_where(model, lambda tokens: False)
    learner = LocalLearner(model, replace(SETTINGS, micro_batch_tokens=30), 1.0)
    learner.update(make_training_batch(learner, groups), LOSS)
    assert len(sizes) > 2
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


@pytest.mark.slow
def test_what_does_not_fit_is_done_again_in_parts_of_half_the_size(
    tmp_path: Path, groups: list[Group], caplog: pytest.LogCaptureFixture
) -> None:
    model = load_tiny_model(tmp_path)
    sizes = fail_where(model, lambda tokens: tokens > 40)
    learner = LocalLearner(model, SETTINGS, 1.0)
    with caplog.at_level(logging.WARNING):
        report = learner.update(make_training_batch(learner, groups), LOSS)
    assert report.outcome is UpdateOutcome.APPLIED
    lowered = int(report.metrics["memory/micro_batch_tokens"])
    assert lowered <= 40
    # Half of what was read together, not of the ten thousand that would have been allowed.
    assert f"of 10000 tokens; continuing with micro-batches of {sizes[0] // 2} tokens" in caplog.messages[0]
    assert f"continuing with micro-batches of {lowered} tokens" in caplog.messages[-1]
    assert report.metrics["memory/shortages"] == len(caplog.messages) == 2
    assert torch.equal(weights(model), trained(tmp_path, groups, lowered))


def test_half_a_gradient_does_not_count(tmp_path: Path, groups: list[Group]) -> None:
    model = load_tiny_model(tmp_path)
    calls = iter(range(100))
    fail_where(model, lambda tokens: next(calls) == 2)  # two parts have left their gradients by then
    learner = LocalLearner(model, replace(SETTINGS, micro_batch_tokens=30), 1.0)
    report = learner.update(make_training_batch(learner, groups), LOSS)
    assert report.metrics["memory/shortages"] == 1
    lowered = int(report.metrics["memory/micro_batch_tokens"])
    assert lowered < 30
    assert torch.equal(weights(model), trained(tmp_path, groups, lowered))
    whole = LocalLearner(load_tiny_model(tmp_path), SETTINGS, 1.0)
    of_the_whole = whole.update(make_training_batch(whole, groups), LOSS).metrics
    for name in ("loss", "entropy", "grad_norm"):
        assert report.metrics[name] == pytest.approx(of_the_whole[name], rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_estimates_are_made_in_smaller_parts_as_well(tmp_path: Path, groups: list[Group]) -> None:
    model = load_tiny_model(tmp_path)
    whole = LocalLearner(model, SETTINGS, 1.0, estimates_old=True).estimate(make_batch(groups)).old_logprobs
    assert whole is not None
    oom_counter = OomCounter()
    fail_where(model, lambda tokens: tokens > 40)
    learner = LocalLearner(model, SETTINGS, 1.0, estimates_old=True, oom_counter=oom_counter)
    parts = learner.estimate(make_batch(groups)).old_logprobs
    assert oom_counter.count > 0
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_parts_stay_small_for_the_rest_of_the_run(tmp_path: Path, groups: list[Group]) -> None:
    model = load_tiny_model(tmp_path)
    sizes = fail_where(model, lambda tokens: tokens > 40)
    learner = LocalLearner(model, SETTINGS, 1.0)
    first = learner.update(make_training_batch(learner, groups), LOSS)
    sizes.clear()
    second = learner.update(make_training_batch(learner, groups), LOSS)
    assert max(sizes) <= 40
    states = ("memory/micro_batch_tokens", "memory/shortages")
    assert [second.metrics[name] for name in states] == [first.metrics[name] for name in states]


@pytest.mark.slow
def test_activations_are_computed_again_where_one_rollout_is_too_much(tmp_path: Path, groups: list[Group]) -> None:
    model = load_tiny_model(tmp_path)
    learner = LocalLearner(model, SETTINGS, 1.0)
    training_batch = make_training_batch(learner, groups)
    # A rollout of some 30 tokens has more kept than this, and less with its layers' inputs alone.
    with memory_of(model, limit=150_000):
        report = learner.update(training_batch, LOSS)
    assert report.outcome is UpdateOutcome.APPLIED
    assert report.metrics["memory/shortages"] >= 3
    lowered = int(report.metrics["memory/micro_batch_tokens"])
    assert torch.equal(weights(model), trained(tmp_path, groups, lowered, recompute=True))
    assert torch.equal(weights(model), trained(tmp_path, groups, lowered))


@pytest.mark.slow
def test_what_fits_in_no_way_ends_with_a_sentence_and_leaves_the_weights_alone(
    tmp_path: Path, groups: list[Group]
) -> None:
    model = load_tiny_model(tmp_path)
    before = weights(model).clone()
    learner = LocalLearner(model, SETTINGS, 1.0)
    training_batch = make_training_batch(learner, groups)
    handle = model.network.get_input_embeddings().register_forward_pre_hook(_refuse)
    with pytest.raises(TrainingError, match=r"\d+ tokens.*Lower sampling.max_new_tokens.*model.lora.*model.name"):
        learner.update(training_batch, LOSS)
    assert torch.equal(weights(model), before)
    handle.remove()
    lowered = int(learner.update(training_batch, LOSS).metrics["memory/micro_batch_tokens"])
    assert torch.equal(weights(model), trained(tmp_path, groups, lowered))


def _refuse(module: nn.Module, args: tuple[Any, ...]) -> None:
    raise MemoryError


def test_another_error_is_not_taken_for_a_want_of_memory(tmp_path: Path, groups: list[Group]) -> None:
    model = load_tiny_model(tmp_path)
    sizes = fail_where(model, lambda tokens: True, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    learner = LocalLearner(model, SETTINGS, 1.0)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        learner.update(make_training_batch(learner, groups), LOSS)
    assert len(sizes) == 1


def test_a_limit_shrinks_to_one_rollout_then_to_its_layers_inputs() -> None:
    tried = [MicroBatchLimit(tokens=16_384, recompute=False)]
    for _ in range(4):
        # 700 tokens were all there was to read.
        tried.append(tried[-1].smaller(largest=min(tried[-1].tokens, 700), least=100))
    assert [(each.tokens, each.recompute) for each in tried[1:]] == [
        (350, False),
        (175, False),
        (100, False),
        (100, True),
    ]
    with pytest.raises(TrainingError, match="answer of 100 tokens"):
        tried[-1].smaller(largest=100, least=100)
