from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from verifine.batch import Advantages, Estimates, RolloutBatch, collate
from verifine.learner.learner import TrainingBatch
from verifine.testing import ScriptedEngine
from verifine.training.minibatches import minibatches
from verifine.types import Grade, Prompt, Sampling

GROUPS = 5
KEY = (7, 3)


def make_whole() -> TrainingBatch:
    """Five groups of two answers, of one to five tokens."""
    engine = ScriptedEngine(lambda prompt, sample: "x" * (int(prompt.id) + sample))
    prompts = [Prompt(id=str(number), token_ids=(1,), item={}) for number in range(1, GROUPS + 1)]
    groups = [group.graded([Grade(score=1.0), Grade(score=0.0)]) for group in engine.generate(prompts, SAMPLING)]
    batch = collate(RolloutBatch.of(groups), max_tokens=8)
    numbers = torch.arange(len(batch.tokens), dtype=torch.float32)
    return TrainingBatch(
        batch=batch,
        estimates=Estimates(old_logprobs=-numbers, reference_logprobs=None, values=None),
        advantages=Advantages(advantages=numbers),
    )


SAMPLING = Sampling(group_size=2, max_new_tokens=8)


def prompts_of(training_batch: TrainingBatch) -> list[str]:
    return [group.prompt.id for group in training_batch.batch.groups]


def test_a_single_update_sees_everything_and_is_its_own_old_policy() -> None:
    whole = make_whole()
    (only,) = minibatches(whole, 1, 1, KEY)
    assert only.training_batch.batch is whole.batch
    assert only.training_batch.advantages is whole.advantages
    assert only.training_batch.estimates.old_logprobs is None
    assert only.index.tolist() == list(range(len(whole.batch.tokens)))


def test_epochs_without_mini_batches_see_the_whole_step_each_time() -> None:
    whole = make_whole()
    parts = list(minibatches(whole, 3, 1, KEY))
    assert [part.training_batch for part in parts] == [whole] * 3
    assert whole.estimates.old_logprobs is not None


@pytest.mark.parametrize("count", [2, 3, 5])
def test_an_epoch_deals_out_every_group_once_and_evenly(count: int) -> None:
    parts = list(minibatches(make_whole(), 1, count, KEY))
    sizes = [len(part.training_batch.batch.groups) for part in parts]
    assert len(parts) == count
    assert max(sizes) - min(sizes) <= 1
    assert sorted(prompt for part in parts for prompt in prompts_of(part.training_batch)) == list("12345")


def test_there_are_no_more_mini_batches_than_groups() -> None:
    assert len(list(minibatches(make_whole(), 2, 100, KEY))) == 2 * GROUPS


def test_the_index_says_where_the_tokens_of_a_part_stand() -> None:
    whole = make_whole()
    parts = list(minibatches(whole, 1, 2, KEY))
    for part in parts:
        assert torch.equal(part.training_batch.batch.tokens, whole.batch.tokens[part.index])
        assert torch.equal(part.training_batch.advantages.advantages, whole.advantages.advantages[part.index])
    assert sorted(torch.cat([part.index for part in parts]).tolist()) == list(range(len(whole.batch.tokens)))


def test_each_epoch_is_shuffled_by_its_key_alone() -> None:
    def orders(key: tuple[int, int]) -> list[list[str]]:
        return [prompts_of(part.training_batch) for part in minibatches(make_whole(), 8, 2, key)]

    assert orders(KEY) == orders(KEY)
    assert orders(KEY) != orders((7, 4)) != orders((8, 3))
    assert len({tuple(order) for order in orders(KEY)}) > 2


def test_a_group_keeps_its_weight_in_every_mini_batch() -> None:
    whole = replace(make_whole(), group_weights=torch.arange(GROUPS, dtype=torch.float32))
    for part in minibatches(whole, 1, 2, KEY):
        weights = part.training_batch.group_weights
        assert weights is not None
        assert [str(int(weight) + 1) for weight in weights] == prompts_of(part.training_batch)
