"""As many answers as a prompt needs: what is kept, and the exact gradient over every way in which drawing can stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from verifine.algorithms import group_centered, has_enough, keep_mixed, pool_centered
from verifine.algorithms.algorithm import build_algorithm
from verifine.algorithms.pools import allocate
from verifine.batch import Estimates, RolloutBatch, collate
from verifine.config import AlgorithmConfig, RewardConfig
from verifine.config.recipes import RECIPES
from verifine.testing.oracle_pools import (
    NaiveRounds,
    balanced_weight,
    naive_allocate,
    naive_allocation_weight,
    naive_rounds_weight,
)
from verifine.testing.trainers import scripted_trainer
from verifine.training.collect import collect
from verifine.training.source import PromptSource
from verifine.training.stopwatch import Stopwatch
from verifine.training.trainer import Allocation, Progress, Rounds, Trainer
from verifine.types import Example, Grade, Prompt, Sample

RATES = (0.05, 0.1, 0.3, 0.5, 0.9)
NO_ESTIMATES = Estimates(old_logprobs=None, reference_logprobs=None, values=None)

masks = st.tuples(st.integers(1, 4), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(
        *(
            st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
                lambda flags: torch.tensor(flags).view(shape)
            )
            for _ in range(2)
        )
    )
)
"""right and valid [P, G]"""


class RightAsWritten:
    """Grades an answer by what it says."""

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [Grade(score=float(sample.output_text == "1")) for sample in samples]

    def close(self) -> None: ...


def tapes(length: int) -> list[str]:
    """Every sequence of right (1) and wrong (0) answers."""
    return [format(number, f"0{length}b") for number in range(2**length)]


def trainer_of_every_tape(name: str, groups: Rounds | Allocation, size: int, length: int) -> Trainer:
    """A step with a prompt for each tape, which its answers are read from by their numbers."""
    trainer, _, _ = scripted_trainer(lambda prompt, sample: str(prompt.item["tape"])[sample])
    examples = [Example(id=tape, messages=(), item={"tape": tape}) for tape in tapes(length)]
    return replace(
        trainer,
        source=PromptSource(examples, lambda e: Prompt(id=e.id, token_ids=(1,), item=e.item), seed=0),
        grader=RightAsWritten(),
        algorithm=build_algorithm(AlgorithmConfig(name=name), RewardConfig(), pools=True),
        sampling=replace(trainer.sampling, group_size=size),
        prompts_per_step=len(examples),
        groups=groups,
    )


def expected_weight(trainer: Trainer, length: int, p: float) -> float:
    """The expected gradient of a step's prompt, as a multiple of grad p, from the code that trains.

    An answer is one token; of the right one grad log p = (1 - p) g, of the wrong one -p g, and grad p = p (1 - p) g.
    """
    rollouts = collect(trainer, trainer.sampling, Progress(), Stopwatch(trainer.clock)).rollouts
    batch = collate(rollouts, 1)
    advantages = trainer.algorithm.advantages(batch, NO_ESTIMATES).advantages.double()
    weights = trainer.algorithm.loss.weights(batch.row, batch.group_size, 1, torch.float64)
    prompts = batch.row // batch.group_size
    right = batch.rewards.flatten()[batch.row] == 1
    slopes = torch.where(right, 1 - p, -p).double()
    rights = torch.tensor([group.prompt.id.count("1") for group in batch.groups])
    probabilities = p ** rights.double() * (1 - p) ** (length - rights.double())
    gradient = (probabilities[prompts] * weights * advantages * slopes).sum() * len(batch.groups)
    return gradient.item() / (p * (1 - p))


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "gspo"])
@pytest.mark.parametrize(
    ("size", "answers", "rounds", "rights", "wrongs"),
    [
        (2, 2, 3, 1, 1),
        (2, 3, 3, 1, 1),
        (2, 3, 3, 1, 0),
        (3, 3, 2, 1, 2),
        (2, 2, 3, 2, 0),
        (4, 4, 2, 2, 2),
        pytest.param(4, 4, 3, 2, 2, marks=pytest.mark.slow),
        pytest.param(4, 4, 3, 1, 0, marks=pytest.mark.slow),
    ],
)
def test_the_gradient_over_all_stopping_paths_is_the_one_worked_out(
    name: str, size: int, answers: int, rounds: int, rights: int, wrongs: int
) -> None:
    """Every prompt of the step is one outcome of all answers it might be asked for."""
    groups = Rounds(answers=answers, most=rounds, rights=rights, wrongs=wrongs)
    trainer = trainer_of_every_tape(name, groups, size, answers * rounds)
    for p in RATES:
        naive = NaiveRounds(answers=answers, most=rounds, rights=rights, wrongs=wrongs)
        want = naive_rounds_weight(p, size, naive)
        assert expected_weight(trainer, answers * rounds, p) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_the_gradient_of_allocated_answers_is_the_one_worked_out(size: int) -> None:
    trainer = trainer_of_every_tape("grpo", Allocation(least=2, most=4 * size), size, size)
    for p in RATES:
        assert expected_weight(trainer, size, p) == pytest.approx(naive_allocation_weight(p, size), rel=1e-6)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_balanced_groups_have_the_weight_that_was_derived_up_to_one_over_the_answers(p: float, size: int) -> None:
    """And no number of answers is so large that a part of the error stays."""
    errors = {}
    for answers in (8, 16, 32, 64, 128, 256):
        rounds = NaiveRounds(answers=answers, most=3, rights=size // 2, wrongs=size // 2)
        errors[answers] = abs(naive_rounds_weight(p, size, rounds) / balanced_weight(p) - 1)
    assert all(error * answers < 4 for answers, error in errors.items())
    assert errors[256] < 1e-3


def test_allocated_answers_have_the_weight_one_over_the_root_up_to_one_over_the_answers() -> None:
    """With the 0.01 that is added to a rate; the other root is in how many answers there are."""
    for p in (0.1, 0.3, 0.5, 0.9):
        errors = [abs(naive_allocation_weight(p, size) * math.sqrt(p + 0.01) - 1) * size for size in (8, 32, 128)]
        assert max(errors) < 4
        assert naive_allocation_weight(p, 1024) == pytest.approx(1 / math.sqrt(p + 0.01), rel=5e-3)


@given(masks, st.integers(2, 8))
def test_what_is_kept_is_as_mixed_as_it_can_be(drawn: tuple[Tensor, Tensor], size: int) -> None:
    right, valid = drawn
    kept = keep_mixed(right, valid, size)
    assert not (kept & ~valid).any()
    for row, is_right, counts in zip(kept, right, valid, strict=True):
        rights, wrongs = int((is_right & counts).sum()), int((~is_right & counts).sum())
        kept_rights, kept_wrongs = int((row & is_right).sum()), int((row & ~is_right).sum())
        assert kept_rights + kept_wrongs == min(size, rights + wrongs)
        assert kept_rights >= min(rights, size // 2)
        assert kept_wrongs >= min(wrongs, size - size // 2)
        for kind in (is_right & counts, ~is_right & counts):  # the first of each kind
            places = kind.nonzero().flatten().tolist()
            taken = [place for place in places if row[place]]
            assert taken == places[: len(taken)]


@given(masks)
def test_enough_answers_keep_being_enough(drawn: tuple[Tensor, Tensor]) -> None:
    right, valid = drawn
    before = has_enough(right[:, :-1], valid[:, :-1], 1, 1)
    assert not (before & ~has_enough(right, valid, 1, 1)).any()


def test_a_pool_that_is_its_group_has_the_advantages_of_the_group() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.25, 7.0], [0.1, 0.1, 0.1, 0.1]])
    valid = torch.tensor([[True, True, True, False], [True, True, True, True]])
    means = torch.tensor([1.25 / 3, 0.1])
    torch.testing.assert_close(pool_centered(rewards, valid, means), group_centered(rewards, valid))


@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 40))
def test_a_pool_of_equal_rewards_has_exactly_zero_advantage(value: float, size: int) -> None:
    rewards, valid = torch.full((1, size), value), torch.ones((1, size), dtype=torch.bool)
    batch = RolloutBatch(
        groups=(), rewards=rewards, valid=valid, chosen=valid, keeps=valid.any(dim=1), scales=torch.ones(1)
    )
    assert (pool_centered(rewards, valid, batch.drawn_means()) == 0).all()


@given(
    st.lists(st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 1.0]), min_size=1, max_size=12),
    st.integers(2, 8),
    st.integers(0, 6),
    st.integers(0, 30),
)
def test_answers_are_shared_out_in_full_and_within_bounds(rates: list[float], size: int, less: int, more: int) -> None:
    least, most = max(size - less, 2), size + more
    counts = allocate(rates, size * len(rates), least, most)
    assert sum(counts) == size * len(rates)
    assert all(least <= count <= most for count in counts)
    assert counts == naive_allocate(rates, size * len(rates), least, most)
    by_rate = [count for _, count in sorted(zip(rates, counts, strict=True), key=lambda each: (each[0], -each[1]))]
    assert by_rate == sorted(by_rate, reverse=True), "a harder prompt never gets fewer"


def test_answers_are_shared_out_by_hand() -> None:
    # 1 / sqrt(0.01), 1 / sqrt(0.25), 1 / sqrt(1): 10, 2 and 1 of 13.
    assert allocate([0.0, 0.24, 0.99], 26, 2, 40) == [20, 4, 2]
    assert allocate([0.0, 0.24, 0.99], 26, 2, 16) == [16, 7, 3]  # 10 for 2 to 1
    assert allocate([0.5, 0.5, 0.5], 25, 2, 40) == [9, 8, 8]


def test_only_rows_with_the_mean_of_a_group_as_their_baseline_take_pools() -> None:
    for row in RECIPES.values():
        assert row.takes_pools == (row.scaling is not None)
        if row.takes_pools:
            assert not row.whitens
            assert row.kl is None or row.kl.place == "loss"
