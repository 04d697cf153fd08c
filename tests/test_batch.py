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
    for name in ("rewards", "valid", "chosen", "keeps", "scales"):
        assert torch.equal(getattr(both, name), getattr(whole, name))


def test_invalid_rollouts_are_not_on_the_token_axis() -> None:
    batch = collate(RolloutBatch.of(groups()), max_tokens=5)
    assert batch.row.tolist() == [0, 0, 2, 2, 2, 2, 2, 3, 3, 5, 5, 5, 5, 5]
    assert "".join(map(chr, batch.tokens.tolist())) == "p0p2p2pq0q2q2q"
    assert len(batch.behaviour_logprobs) == 14


def test_a_smaller_group_has_nothing_in_its_last_places() -> None:
    small, large = groups()[0].first(1), groups()[1]
    rollouts = RolloutBatch.of([small, large])
    assert rollouts.rewards.tolist() == [[1.0, 0.0, 0.0], [1.0, 0.0, 0.25]]
    assert rollouts.valid.tolist() == [[True, False, False], [True, False, True]]
    assert rollouts.lengths().tolist() == [[2, 0, 0], [2, 4, 5]]
    assert rollouts.truncated().tolist() == [[False] * 3, [False, False, True]]
    assert collate(rollouts, max_tokens=5).row.tolist() == [0, 0, 3, 3, 5, 5, 5, 5, 5]
    joined = RolloutBatch.concatenate([RolloutBatch.of([small]), RolloutBatch.of([large])])
    for name in ("rewards", "valid", "chosen", "keeps"):
        assert torch.equal(getattr(joined, name), getattr(rollouts, name))


def test_what_is_not_chosen_is_off_the_token_axis_and_in_the_mean() -> None:
    chosen = torch.tensor([[False, True, True], [True, True, False]])
    batch = collate(replace(RolloutBatch.of(groups()), chosen=chosen), max_tokens=5)
    assert batch.valid.tolist() == [[False, False, True], [True, False, False]]
    assert batch.row.tolist() == [2, 2, 2, 2, 2, 3, 3]
    assert batch.drawn_means.tolist() == [0.625, 0.625]


def test_an_answer_passes_if_the_grader_says_so_or_by_its_score() -> None:
    grades = [Grade(score=0.9), Grade(score=0.9, answer_ok=False), Grade(score=0.1, answer_ok=True)]
    rollouts = RolloutBatch.of([groups()[0].graded(grades)])
    assert rollouts.passes(0.9).tolist() == [[True, False, True]]
    assert rollouts.passes(0.95).tolist() == [[False, False, True]]
    broken = RolloutBatch.of([groups()[0].graded([Grade.unscorable("broken")] * 3)])
    assert not broken.passes(0.0).any()


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
    for name in ("tokens", "row", "behaviour_logprobs", "rewards", "valid", "drawn_means", "scales"):
        assert torch.equal(getattr(part, name), getattr(alone, name))
    both, everything = whole.part(torch.tensor([1, 0]))
    assert everything.tolist() == list(range(14))
    assert torch.equal(both.row, whole.row)


def test_a_batch_of_nothing_is_empty() -> None:
    rollouts = replace(RolloutBatch.of(groups()), keeps=torch.tensor([False, False]))
    batch = collate(rollouts, max_tokens=5)
    assert len(batch.tokens) == len(batch.row) == 0
    assert batch.rewards.shape == (0, 3)
