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
    batch = collate(groups(), scores.rewards, scores.valid)
    assert batch.row.tolist() == [0, 0, 2, 2, 2, 2, 2, 3, 3, 5, 5, 5, 5, 5]
    assert "".join(map(chr, batch.tokens.tolist())) == "p0p2p2pq0q2q2q"
    assert len(batch.behaviour_logprobs) == 14
    assert (
        batch.spread(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).tolist() == [1] * 2 + [3] * 5 + [4] * 2 + [6] * 5
    )


def test_a_batch_of_nothing_is_empty() -> None:
    batch = collate([], torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool))
    assert len(batch.tokens) == len(batch.row) == 0
