from __future__ import annotations

import torch

from verifine.batch import collate, score
from verifine.testing import ScriptedEngine
from verifine.types import Grade, Group, Prompt, Sampling


def groups() -> list[Group]:
    engine = ScriptedEngine(lambda prompt, sample: f"{prompt.id}{sample}" * (sample + 1))
    prompts = [Prompt(id=name, token_ids=(1,), item={}) for name in ("p", "q")]
    sampled = engine.generate(prompts, Sampling(group_size=3, max_new_tokens=5))
    grades = [Grade(score=1.0), Grade.unscorable("broken"), Grade(score=0.25)]
    return [group.graded(grades) for group in sampled]


def test_scores_are_one_value_a_rollout() -> None:
    scores = score(groups())
    assert scores.rewards.tolist() == [[1.0, 0.0, 0.25]] * 2
    assert scores.valid.tolist() == [[True, False, True]] * 2
    assert scores.lengths.tolist() == [[2, 4, 5]] * 2
    assert scores.truncated.tolist() == [[False, False, True]] * 2


def test_invalid_rollouts_are_not_on_the_token_axis() -> None:
    scores = score(groups())
    batch = collate(groups(), scores.rewards, scores.valid, max_tokens=5)
    assert batch.row.tolist() == [0, 0, 2, 2, 2, 2, 2, 3, 3, 5, 5, 5, 5, 5]
    assert "".join(map(chr, batch.tokens.tolist())) == "p0p2p2pq0q2q2q"
    assert len(batch.behaviour_logprobs) == 14


def test_a_part_of_a_batch_is_that_of_its_groups_alone() -> None:
    scores = score(groups())
    whole = collate(groups(), scores.rewards, scores.valid, max_tokens=5)
    part, index = whole.part(torch.tensor([1]))
    alone = collate(groups()[1:], scores.rewards[1:], scores.valid[1:], max_tokens=5)
    assert part.groups == alone.groups
    assert index.tolist() == list(range(7, 14))
    for name in ("tokens", "row", "behaviour_logprobs", "rewards", "valid"):
        assert torch.equal(getattr(part, name), getattr(alone, name))
    both, everything = whole.part(torch.tensor([1, 0]))
    assert everything.tolist() == list(range(14))
    assert torch.equal(both.row, whole.row)


def test_a_batch_of_nothing_is_empty() -> None:
    batch = collate([], torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool), max_tokens=5)
    assert len(batch.tokens) == len(batch.row) == 0
