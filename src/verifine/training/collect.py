"""From prompts to the groups a step trains on: sample, grade, filter, and sample again where groups were left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from verifine.batch import score
from verifine.graders import Grader, grade_samples
from verifine.training.stopwatch import Stopwatch
from verifine.training.trainer import Trainer
from verifine.types import Group, Sample, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The graded groups of a step."""

    sampled: tuple[Group, ...]
    """All of them, in the order of their prompts."""
    kept: tuple[Group, ...]
    """Those to train on."""
    rewards: Float[Tensor, "P G"]
    """Shaped rewards of the kept groups."""
    valid: Bool[Tensor, "P G"]
    """Which of their rollouts count."""


def collect(trainer: Trainer, sampling: Sampling, position: int, watch: Stopwatch) -> Harvest:
    """Samples until there are `prompts_per_step` groups to train on, or `max_resample` more rounds have been tried.

    An algorithm without a group filter keeps every group with a valid rollout and never samples again.
    """
    algorithm = trainer.algorithm
    sampled: list[Group] = []
    kept: list[Group] = []
    rewards: list[Tensor] = []
    valid: list[Tensor] = []
    for _ in range(1 + (0 if algorithm.recipe.group_filter is None else trainer.max_resample)):
        prompts = trainer.source.draw(position + len(sampled), trainer.prompts_per_step - len(kept))
        with watch.measure("generate"):
            groups = trainer.engine.generate(prompts, sampling)
        with watch.measure("grade"):
            groups = grade_groups(trainer.grader, groups)
        shaped = algorithm.shape(score(groups), sampling.max_new_tokens)
        sampled += groups
        kept += [group for group, is_kept in zip(groups, shaped.keeps.tolist(), strict=True) if is_kept]
        rewards.append(shaped.rewards[shaped.keeps])
        valid.append(shaped.valid[shaped.keeps])
        if len(kept) == trainer.prompts_per_step:
            break
    return Harvest(sampled=tuple(sampled), kept=tuple(kept), rewards=torch.cat(rewards), valid=torch.cat(valid))


def grade_groups(grader: Grader, groups: Sequence[Group]) -> list[Group]:
    """Grades every rollout of `groups` in one call.

    Raises:
        GraderError: the grader gave another number of grades than it was given samples.
    """
    samples = [
        Sample(output_text=rollout.text, item=group.prompt.item) for group in groups for rollout in group.rollouts
    ]
    grades = grade_samples(grader, samples)
    starts = accumulate((len(group.rollouts) for group in groups), initial=0)
    return [
        group.graded(grades[start : start + len(group.rollouts)]) for group, start in zip(groups, starts, strict=False)
    ]
