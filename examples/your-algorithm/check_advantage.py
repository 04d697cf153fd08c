"""Compares the advantage with plain loops, on steps with everything that goes wrong in one.

python check_advantage.py
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from statistics import fmean

import torch
from advantage import hard_counts_more

from verifine.algorithms.algorithm import build_algorithm
from verifine.config import AlgorithmConfig, RewardConfig
from verifine.testing.conformance import work_out
from verifine.testing.oracle_batch import NaiveRollout, random_prompts

STEPS, MAX_TOKENS = 200, 8


def in_loops(group: list[NaiveRollout]) -> Iterator[float]:
    """The same formula, one answer after the other."""
    graded = [rollout.reward for rollout in group if rollout.valid]
    for rollout in group:
        mean = fmean(graded) if graded else 0.0
        yield (rollout.reward - mean) * (1 - mean) if rollout.valid else 0.0


def main() -> None:
    algorithm = build_algorithm(AlgorithmConfig(name="dr_grpo"), RewardConfig(), advantages=hard_counts_more)
    random = Random(0)
    for _ in range(STEPS):
        prompts = random_prompts(random, prompts=3, group_size=4, max_tokens=MAX_TOKENS)
        step = work_out(algorithm, prompts, MAX_TOKENS, torch.float64)
        wanted = [advantage for p in step.kept_prompts for advantage in in_loops(prompts[p])]
        for row, advantage in zip(step.row, step.advantages, strict=True):
            assert abs(advantage - wanted[row]) < 1e-12, f"{advantage} is not {wanted[row]}, which the loops give"
    print(f"{STEPS} steps: every token has the advantage that the loops give")


if __name__ == "__main__":
    main()
