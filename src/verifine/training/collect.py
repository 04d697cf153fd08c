"""From prompts to the groups a step trains on: sample, grade, filter, and sample again where groups were left out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from verifine.batch import RolloutBatch
from verifine.graders import Grader, grade_samples
from verifine.training.stopwatch import Stopwatch
from verifine.training.trainer import Trainer
from verifine.types import Group, Sample, Sampling


def collect(trainer: Trainer, sampling: Sampling, position: int, watch: Stopwatch) -> RolloutBatch:
    """Samples until there are `prompts_per_step` groups to train on, or `max_resample` more rounds have been tried.

    An algorithm without a group filter keeps every group with a valid rollout and never samples again.
    """
    algorithm = trainer.algorithm
    parts: list[RolloutBatch] = []
    sampled = kept = 0
    for _ in range(1 + (0 if algorithm.recipe.group_filter is None else trainer.max_resample)):
        prompts = trainer.source.draw(position + sampled, trainer.prompts_per_step - kept)
        with watch.measure("generate"):
            groups = trainer.engine.generate(prompts, sampling)
        with watch.measure("grade"):
            groups = grade_groups(trainer.grader, groups)
        parts.append(algorithm.shape(RolloutBatch.of(groups), sampling.max_new_tokens))
        sampled += len(groups)
        kept += int(parts[-1].keeps.sum())
        if kept == trainer.prompts_per_step:
            break
    return RolloutBatch.concatenate(parts)


def grade_groups(grader: Grader, groups: Sequence[Group]) -> list[Group]:
    """Grades every rollout of `groups` in one call.

    Raises:
        GraderError: the grader gave another number of grades than it was given samples.
    """
    samples = [
        Sample(output_text=rollout.text, item=group.prompt.item, opened=group.prompt.opened)
        for group in groups
        for rollout in group.rollouts
    ]
    grades = grade_samples(grader, samples)
    starts = accumulate((len(group.rollouts) for group in groups), initial=0)
    return [
        group.graded(grades[start : start + len(group.rollouts)]) for group, start in zip(groups, starts, strict=False)
    ]
