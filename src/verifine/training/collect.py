"""From prompts to the groups a step trains on: sample, grade, filter, and sample again where groups were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from verifine.batch import RolloutBatch
from verifine.data import PromptCounts, PromptHistory
from verifine.graders import Grader, grade_samples
from verifine.training.drawing import describe_drawing, draw_groups, right_answers
from verifine.training.source import SelectedPrompts
from verifine.training.stopwatch import Stopwatch
from verifine.training.trainer import Progress, Trainer
from verifine.types import Group, Prompt, Sample, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What a step has sampled, and where the next one goes on."""

    rollouts: RolloutBatch
    position: int
    """As in `Progress`, like `history`."""
    history: PromptHistory
    metrics: Mapping[str, float]
    """How prompts were selected and answers drawn."""


def collect(trainer: Trainer, sampling: Sampling, progress: Progress, watch: Stopwatch) -> Collection:
    """Samples until there are `prompts_per_step` groups to train on, or `max_resample` more times have been tried.

    An algorithm without a group filter keeps every group with a valid rollout and never samples other prompts.
    """

    def ask(prompts: Sequence[Prompt], samples: Sequence[range]) -> list[Group]:
        with watch.measure("generate"):
            groups = trainer.engine.generate(prompts, sampling, samples)
        with watch.measure("grade"):
            return grade_groups(trainer.grader, groups)

    parts: list[RolloutBatch] = []
    selections: list[SelectedPrompts] = []
    position, kept = progress.position, 0
    for _ in range(1 + (0 if trainer.algorithm.recipe.group_filter is None else trainer.max_resample)):
        selections.append(trainer.source.select(position, trainer.prompts_per_step - kept, progress.history))
        parts.append(draw_groups(trainer, selections[-1], progress.history, ask))
        position = selections[-1].position
        kept += int(parts[-1].keeps.sum())
        if kept == trainer.prompts_per_step:
            break
    rollouts = RolloutBatch.concatenate(parts)
    return Collection(
        rollouts=rollouts,
        position=position,
        history=_remember(trainer, progress.history, selections, rollouts),
        metrics={**describe_drawing(trainer, rollouts), **_describe_selection(trainer, progress.history, selections)},
    )


def _remember(
    trainer: Trainer, history: PromptHistory, selections: Sequence[SelectedPrompts], rollouts: RolloutBatch
) -> PromptHistory:
    if not trainer.keeps_history:
        return history
    right = right_answers(trainer, rollouts)
    counts = zip(right.sum(dim=1).tolist(), (rollouts.valid & ~right).sum(dim=1).tolist(), strict=True)
    asked = (example_id for selection in selections for example_id in selection.example_ids)
    return history.note(
        (example_id, PromptCounts(right=rights, wrong=wrongs))
        for example_id, (rights, wrongs) in zip(asked, counts, strict=True)
    )


def _describe_selection(
    trainer: Trainer, history: PromptHistory, selections: Sequence[SelectedPrompts]
) -> dict[str, float]:
    """Metrics of the prompts that were left out and of those that were asked; none, where all are asked."""
    if not trainer.source.reads_history:
        return {}
    rates = [history.of(example_id).rate for selection in selections for example_id in selection.skipped]
    asked = [example_id in history.counts for selection in selections for example_id in selection.example_ids]
    return {
        "prompts/skipped_right": float(sum(rate >= 0.5 for rate in rates)),
        "prompts/skipped_wrong": float(sum(rate < 0.5 for rate in rates)),
        "prompts/known": sum(asked) / len(asked),
    }


def grade_groups(grader: Grader, groups: Sequence[Group]) -> list[Group]:
    """Grades every rollout of `groups` in one call.

    Raises:
        GraderError: the grader gave another number of grades than it was given samples.
    """
    samples = [
        Sample.of(rollout.text, group.prompt.item, opened=group.prompt.opened, answer_start=rollout.answer_start)
        for group in groups
        for rollout in group.rollouts
    ]
    grades = grade_samples(grader, samples)
    starts = accumulate((len(group.rollouts) for group in groups), initial=0)
    return [
        group.graded(grades[start : start + len(group.rollouts)]) for group, start in zip(groups, starts, strict=False)
    ]
