"""Agreement with TRL 1.16.0: its own code, on the same numbers, and what we do otherwise on purpose.

Its trainers' methods are called with stand-ins for the trainer (`conftest.py`). TRL pads where we have a flat axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from trl import GRPOTrainer, RLOOTrainer
from trl.rewards import get_soft_overlong_punishment

from verifine.algorithms import (
    KL,
    Clip,
    batch_scaled,
    group_centered,
    group_normalized,
    leave_one_out,
    overlong_penalty,
    truncated_importance,
)
from verifine.algorithms.algorithm import Algorithm, default_algorithm
from verifine.testing.conformance import Exercise, Padded, make_exercise
from verifine.testing.oracle_batch import NaiveRollout, random_prompts

MAX_TOKENS = 10
GROUP_SIZE = 4

TrlLoss = Callable[..., Tensor]
TrlGenerated = Callable[..., dict[str, Tensor]]


def all_valid(seed: int) -> list[list[NaiveRollout]]:
    """Three prompts of scorable rollouts, of which every group has differing rewards."""
    random = Random(seed)
    prompts = random_prompts(random, prompts=3, group_size=GROUP_SIZE, max_tokens=MAX_TOKENS)
    return [[replace(rollout, valid=True, reward=random.uniform(-1, 1)) for rollout in group] for group in prompts]


def saying(reward: float, entropies: list[float], drift: float = 0.0) -> NaiveRollout:
    """A rollout whose every token has become exp(drift) times as likely."""
    old = (-1.0,) * len(entropies)
    return NaiveRollout(
        reward=reward,
        logprobs=(-1.0 + drift,) * len(entropies),
        old_logprobs=old,
        behaviour_logprobs=old,
        entropies=tuple(entropies),
    )


def our_loss(row: Algorithm, exercise: Exercise) -> Tensor:
    batch = exercise.batch
    weights = row.loss.weights(batch.row, batch.group_size, MAX_TOKENS, torch.float64)
    return (weights * exercise.terms(row.loss, torch.arange(len(batch.row)))).sum()


def gradient(loss: Tensor, exercise: Exercise) -> Tensor:
    (slope,) = torch.autograd.grad(loss, exercise.logprobs)
    return slope


def with_loss(name: str, **changes: Any) -> Algorithm:
    return replace(default_algorithm(name), loss=replace(default_algorithm(name).loss, **changes))


K3 = KL(estimator="k3", place="loss", beta=0.2)
TIGHT = Clip(low=0.1, high=0.3)

AGREEMENTS: dict[str, tuple[Algorithm, dict[str, Any]]] = {
    "grpo": (default_algorithm("grpo"), {"loss_type": "grpo"}),
    "grpo with other bounds": (
        with_loss("grpo", clip=TIGHT),
        {"loss_type": "grpo", "epsilon_low": 0.1, "epsilon_high": 0.3},
    ),
    "grpo with KL": (with_loss("grpo", kl=K3), {"loss_type": "grpo", "beta": 0.2}),
    "grpo with a dual clip": (
        with_loss("grpo", clip=Clip(low=0.2, high=0.2, dual=2.0)),
        {"loss_type": "grpo", "args": {"delta": 2.0}},
    ),
    "dr_grpo": (default_algorithm("dr_grpo"), {"loss_type": "dr_grpo"}),
    "dr_grpo with KL": (with_loss("dr_grpo", kl=K3), {"loss_type": "dr_grpo", "beta": 0.2}),
    "dapo": (default_algorithm("dapo"), {"loss_type": "dapo", "epsilon_high": 0.28}),
    "dapo with an entropy bonus": (
        with_loss("dapo", entropy_bonus=0.01),
        {"loss_type": "dapo", "epsilon_high": 0.28, "entropy_coef": 0.01},
    ),
    "token_mean, which TRL calls bnpo": (default_algorithm("dapo"), {"loss_type": "bnpo", "epsilon_high": 0.28}),
    "gspo": (
        default_algorithm("gspo"),
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon_low": 3e-4, "epsilon_high": 4e-4},
    ),
    "gspo with wide bounds and KL": (
        with_loss("gspo", clip=Clip(low=0.2, high=0.2), kl=K3),
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "beta": 0.2},
    ),
    # TRL's epsilon_high is the cap itself; ours, as the paper's, is what the cap adds to 1.
    "cispo": (default_algorithm("cispo"), {"loss_type": "cispo", "epsilon_high": 6.0}),
    "cispo with a low cap and KL": (
        with_loss("cispo", clip=Clip(low=1.0, high=0.5), kl=K3),
        {"loss_type": "cispo", "epsilon_high": 1.5, "beta": 0.2},
    ),
}


@pytest.mark.parametrize("case", AGREEMENTS)
def test_loss_and_gradient_are_those_of_trl(trl_loss: TrlLoss, case: str) -> None:
    row, settings = AGREEMENTS[case]
    for seed in range(10):
        exercise = make_exercise(row, all_valid(seed), MAX_TOKENS, torch.float64)
        theirs = trl_loss(GRPOTrainer, exercise, settings)
        ours = our_loss(row, exercise)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(gradient(ours, exercise), gradient(theirs, exercise), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["grpo", "dapo", "gspo", "cispo"])
def test_the_off_policy_correction_is_that_of_trl_for_another_engine(trl_loss: TrlLoss, name: str) -> None:
    row = with_loss(name, importance_cap=1.5, kl=K3)
    _, settings = AGREEMENTS[name]
    exercise = make_exercise(row, all_valid(1), MAX_TOKENS, torch.float64)
    assert exercise.estimates.old_logprobs is not None
    factor = truncated_importance(exercise.estimates.old_logprobs, exercise.batch.behaviour_logprobs, 1.5)
    assert (factor == 1.5).any()
    inputs = {"importance_sampling_ratio": Padded.of(exercise.batch.row).pad(factor)}
    theirs = trl_loss(GRPOTrainer, exercise, settings | {"beta": 0.2, "use_vllm": True}, inputs)
    ours = our_loss(row, exercise)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradient(ours, exercise), gradient(theirs, exercise), rtol=1e-10, atol=1e-14)


def test_parts_of_a_batch_add_up_to_our_loss_in_dapo_and_not_in_bnpo(trl_loss: TrlLoss) -> None:
    """TRL's `dapo` divides by the tokens of the whole batch, `bnpo` by those of the micro-batch at hand.

    We divide by those of the whole batch always: the split must not change a gradient.
    """
    row = default_algorithm("dapo")
    exercise = make_exercise(row, all_valid(3), MAX_TOKENS, torch.float64)
    padded = Padded.of(exercise.batch.row)
    whole = {"num_items_in_batch": padded.mask.sum()}
    lines = torch.arange(len(padded.mask))

    def in_two(loss_type: str) -> Tensor:
        """The sum over two micro-batches, which is what the backward passes accumulate."""
        total = torch.zeros((), dtype=torch.float64)
        for chosen in (lines[:3], lines[3:]):
            index = torch.isin(padded.line, chosen).nonzero().flatten()
            part = replace(
                exercise,
                logprobs=exercise.logprobs[index],
                entropies=exercise.entropies[index],
                batch=replace(exercise.batch, row=exercise.batch.row[index]),
                estimates=exercise.estimates.part(index),
                advantages=replace(exercise.advantages, advantages=exercise.advantages.advantages[index]),
            )
            settings = {
                "loss_type": loss_type,
                "epsilon_high": 0.28,
                "current_gradient_accumulation_steps": 2,
                "args": {"steps_per_generation": 2},
            }
            total = total + trl_loss(GRPOTrainer, part, settings, whole)
        return total

    ours = our_loss(row, exercise)
    torch.testing.assert_close(in_two("dapo"), ours)
    assert (in_two("bnpo") - ours).abs() > 0.05 * ours.abs()


def test_dapo_of_one_process_among_two_counts_for_half_of_the_batch(trl_loss: TrlLoss) -> None:
    """TRL multiplies by the number of processes, because the gradients of processes are then averaged."""
    row = default_algorithm("dapo")
    exercise = make_exercise(row, all_valid(4), MAX_TOKENS, torch.float64)
    theirs = trl_loss(GRPOTrainer, exercise, {"loss_type": "dapo", "epsilon_high": 0.28, "processes": 2})
    torch.testing.assert_close(2 * our_loss(row, exercise), theirs)


def scores_of(prompts: list[list[NaiveRollout]]) -> tuple[Tensor, Tensor]:
    rewards = torch.tensor([[rollout.reward for rollout in group] for group in prompts], dtype=torch.float64)
    return rewards, torch.tensor([[rollout.valid for rollout in group] for group in prompts])


@pytest.mark.parametrize(
    ("scale_rewards", "estimate"),
    [("group", group_normalized), ("none", group_centered), ("batch", batch_scaled)],
)
def test_group_advantages_are_those_of_trl_with_unscorable_rollouts_too(
    trl_generated: TrlGenerated, scale_rewards: str, estimate: Callable[[Tensor, Tensor], Tensor]
) -> None:
    for seed in range(20):
        prompts = random_prompts(Random(seed), prompts=4, group_size=GROUP_SIZE, max_tokens=MAX_TOKENS)
        rewards, valid = scores_of(prompts)
        theirs = trl_generated(GRPOTrainer, prompts, scale_rewards=scale_rewards)["advantages"].view_as(rewards)
        # Bessel's correction of TRL's std is in float32.
        torch.testing.assert_close(estimate(rewards, valid), theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_leave_one_out_with_kl_in_the_reward_is_that_of_trl(trl_generated: TrlGenerated, beta: float) -> None:
    row = with_loss("rloo", kl=KL(estimator="k1", place="reward", beta=beta))
    for seed in range(20):
        prompts = random_prompts(Random(seed), prompts=4, group_size=GROUP_SIZE, max_tokens=MAX_TOKENS)
        exercise = make_exercise(row, prompts, MAX_TOKENS, torch.float64)
        theirs = trl_generated(RLOOTrainer, prompts, beta=beta)["advantages"]
        place = torch.tensor([p * GROUP_SIZE + g for p in exercise.kept_prompts for g in range(GROUP_SIZE)])
        ours, expected = exercise.advantages.advantages, theirs[place][exercise.batch.row]
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)
        if beta == 0:
            direct = leave_one_out(*scores_of(prompts)).flatten()
            torch.testing.assert_close(direct, theirs, rtol=1e-10, atol=1e-12)


def test_the_importance_factor_is_trls_token_truncate(trl_generated: TrlGenerated) -> None:
    prompts = all_valid(5)
    theirs = trl_generated(GRPOTrainer, prompts, use_vllm=True, vllm_importance_sampling_clip_max=2.0)
    exercise = make_exercise(default_algorithm("grpo"), prompts, MAX_TOKENS, torch.float64)
    assert exercise.estimates.old_logprobs is not None
    ours = truncated_importance(exercise.estimates.old_logprobs, exercise.batch.behaviour_logprobs, 2.0)
    padded = Padded.of(exercise.batch.row)
    torch.testing.assert_close(
        theirs["importance_sampling_ratio"][padded.line, padded.column], ours, rtol=1e-6, atol=1e-7
    )


def test_the_overlong_penalty_is_trls_soft_overlong_punishment() -> None:
    lengths = torch.arange(1, 21)
    theirs = get_soft_overlong_punishment(20, 8)([[0] * length for length in lengths.tolist()])
    torch.testing.assert_close(overlong_penalty(lengths[None], 20, 8)[0], torch.tensor(theirs))


def test_an_unscorable_rollout_is_outside_our_mean_and_inside_trls(
    trl_loss: TrlLoss, trl_generated: TrlGenerated
) -> None:
    """TRL gives it an advantage of 0 and leaves its tokens in the denominators: one in twelve weakens every other.

    Here its tokens are not on the axis, and the mean is over the eleven that could be scored.
    """
    prompts = all_valid(6)
    prompts[1][2] = replace(prompts[1][2], valid=False, reward=float("nan"))
    scored = make_exercise(default_algorithm("grpo"), prompts, MAX_TOKENS, torch.float64)
    theirs_of_all = trl_generated(GRPOTrainer, prompts)["advantages"]
    present = [[replace(rollout, valid=True) for rollout in group] for group in prompts]
    everyone = make_exercise(default_algorithm("grpo"), present, MAX_TOKENS, torch.float64)
    everyone = replace(everyone, advantages=replace(everyone.advantages, advantages=theirs_of_all[everyone.batch.row]))
    theirs = trl_loss(GRPOTrainer, everyone, {"loss_type": "grpo"})
    ours = our_loss(default_algorithm("grpo"), scored)
    torch.testing.assert_close(ours * 11 / 12, theirs, rtol=1e-6, atol=0)


def test_a_truncated_rollout_that_is_dropped_is_outside_our_mean_and_inside_trls(trl_loss: TrlLoss) -> None:
    """TRL's `mask_truncated_completions` takes its tokens from the sum, and leaves it among the rollouts divided by."""
    exercise = make_exercise(default_algorithm("grpo"), all_valid(7), MAX_TOKENS, torch.float64)
    mask = Padded.of(exercise.batch.row).mask
    mask[5] = 0
    theirs = trl_loss(GRPOTrainer, exercise, {"loss_type": "grpo"}, {"completion_mask": mask})
    others = (exercise.batch.row != 5).nonzero().flatten()
    weights = default_algorithm("grpo").loss.weights(exercise.batch.row[others], GROUP_SIZE, MAX_TOKENS, torch.float64)
    ours = (weights * exercise.terms(default_algorithm("grpo").loss, others)).sum()
    torch.testing.assert_close(ours * 11 / 12, theirs)


def test_the_entropy_bonus_has_the_weights_of_the_row_and_in_trl_always_those_of_a_token_mean(
    trl_loss: TrlLoss,
) -> None:
    """A rollout of one token, entropy 2, and one of three tokens, entropy 0: 1 a rollout on average, .5 a token.

    With every term under one vector of weights a loss is one sum, so we take the row's.
    """
    row = with_loss("grpo", entropy_bonus=0.1)
    exercise = make_exercise(row, [[saying(1.0, [2.0]), saying(1.0, [0.0] * 3)]], MAX_TOKENS, torch.float64)
    theirs = trl_loss(GRPOTrainer, exercise, {"loss_type": "grpo", "entropy_coef": 0.1})
    assert our_loss(row, exercise).item() == pytest.approx(-0.1 * 1.0)
    assert theirs.item() == pytest.approx(-0.1 * 0.5)


def test_rloo_has_trls_gradient_where_the_batch_is_used_once_and_another_loss(trl_loss: TrlLoss) -> None:
    """-A log p here, -ratio A with a ratio of 1 there: different numbers of the same slope."""
    prompts = [[replace(rollout, logprobs=rollout.old_logprobs) for rollout in group] for group in all_valid(8)]
    exercise = make_exercise(default_algorithm("rloo"), prompts, MAX_TOKENS, torch.float64)
    ours = our_loss(default_algorithm("rloo"), exercise)
    theirs = trl_loss(RLOOTrainer, exercise, {})
    torch.testing.assert_close(gradient(ours, exercise), gradient(theirs, exercise))
    # The advantages of a group add up to 0, and so does TRL's loss.
    assert theirs.item() == pytest.approx(0, abs=1e-7)
    assert abs(ours.item()) > 0.01


def test_rloo_used_again_clips_each_token_here_and_the_whole_response_in_trl(trl_loss: TrlLoss) -> None:
    """Two tokens, each 1.15 times as likely: within .2 each, 1.3225 together, which is beyond.

    TRL's response has left the clip and has no gradient. A product of ratios leaves any clip as answers become longer,
    so ours is a token's.
    """

    row = with_loss("rloo", surrogate="clipped")
    exercise = make_exercise(
        row, [[saying(1.0, [0.0] * 2, drift=math.log(1.15)), saying(0.0, [0.0] * 2)]], MAX_TOKENS, torch.float64
    )
    theirs = gradient(trl_loss(RLOOTrainer, exercise, {}), exercise)
    ours = gradient(our_loss(row, exercise), exercise)
    assert theirs[:2].tolist() == [0.0, 0.0]
    assert ours[:2].tolist() == pytest.approx([-1.15 / 2] * 2)
    torch.testing.assert_close(ours[2:], theirs[2:])
