from __future__ import annotations

from dataclasses import replace

import torch

from verifine.batch import RolloutBatch, collate
from verifine.testing import ScriptedEngine
from verifine.types import Grade, Group, Prompt, Sampling


def groups() -> list[Group]:
    engine = ScriptedEngine(lambda prompt, sample: f"{prompt.id}{sample}" * (sample + 1))
    prompts = [Prompt(id=name, token_ids=(1,), item={}) for name in ("p", "q")]
    sampled = engine.generate(prompts, Sampling(group_size=3, max_new_tokens=5))
    grades = [Grade(score=1.0), Grade.unscorable("broken"), Grade(score=0.25)]
    return [group.graded(grades) for group in sampled]


def test_a_rollout_batch_has_one_value_a_rollout() -> None:
    rollouts = RolloutBatch.of(groups())
    assert rollouts.rewards.tolist() == [[1.0, 0.0, 0.25]] * 2
    assert rollouts.valid.tolist() == [[True, False, True]] * 2
    assert rollouts.lengths().tolist() == [[2, 4, 5]] * 2
    assert rollouts.truncated().tolist() == [[False, False, True]] * 2
    assert rollouts.keeps.tolist() == [True, True]
    assert rollouts.tokens == 22


def test_rollout_batches_of_several_rounds_are_one() -> None:
    whole = RolloutBatch.of(groups())
    both = RolloutBatch.concatenate([RolloutBatch.of(groups()[:1]), RolloutBatch.of(groups()[1:])])
    assert both.groups == whole.groups
    for name in ("rewards", "valid", "keeps"):
        assert torch.equal(getattr(both, name), getattr(whole, name))


def test_invalid_rollouts_are_not_on_the_token_axis() -> None:
    batch = collate(RolloutBatch.of(groups()), max_tokens=5)
    assert batch.row.tolist() == [0, 0, 2, 2, 2, 2, 2, 3, 3, 5, 5, 5, 5, 5]
    assert "".join(map(chr, batch.tokens.tolist())) == "p0p2p2pq0q2q2q"
    assert len(batch.behaviour_logprobs) == 14


def test_only_kept_groups_are_in_a_batch() -> None:
    rollouts = RolloutBatch.of(groups())
    batch = collate(replace(rollouts, keeps=torch.tensor([False, True])), max_tokens=5)
    assert batch.groups == (rollouts.groups[1],)
    assert batch.row.tolist() == [0, 0, 2, 2, 2, 2, 2]
    assert batch.rewards.tolist() == [[1.0, 0.0, 0.25]]


def test_a_part_of_a_batch_is_that_of_its_groups_alone() -> None:
    whole = collate(RolloutBatch.of(groups()), max_tokens=5)
    part, index = whole.part(torch.tensor([1]))
    alone = collate(RolloutBatch.of(groups()[1:]), max_tokens=5)
    assert part.groups == alone.groups
    assert index.tolist() == list(range(7, 14))
    for name in ("tokens", "row", "behaviour_logprobs", "rewards", "valid"):
        assert torch.equal(getattr(part, name), getattr(alone, name))
    both, everything = whole.part(torch.tensor([1, 0]))
    assert everything.tolist() == list(range(14))
    assert torch.equal(both.row, whole.row)


def test_a_batch_of_nothing_is_empty() -> None:
    rollouts = replace(RolloutBatch.of(groups()), keeps=torch.tensor([False, False]))
    batch = collate(rollouts, max_tokens=5)
    assert len(batch.tokens) == len(batch.row) == 0
    assert batch.rewards.shape == (0, 3)
