"""How many answers are drawn for each prompt, and which of them are trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from jaxtyping import Bool
from torch import Tensor

from verifine.algorithms.pools import allocate, has_enough, keep_mixed, rate_scales
from verifine.batch import RolloutBatch
from verifine.data import PromptHistory
from verifine.training.group_outcomes import PASS_SCORE
from verifine.training.source import SelectedPrompts
from verifine.training.summary import summarize
from verifine.training.trainer import Allocation, Rounds, Trainer
from verifine.types import Group, Prompt

Ask = Callable[[Sequence[Prompt], Sequence[range]], list[Group]]
"""Samples and grades the answers with these numbers to each prompt."""

_OF_ALL = ("unscorable", "frac_reward_zero_std", "grader/")
"""Metrics of everything that was drawn; the others of a summary are of the first answers."""


def draw_groups(trainer: Trainer, selected: SelectedPrompts, history: PromptHistory, ask: Ask) -> RolloutBatch:
    """Graded and shaped groups: `group_size` answers to each prompt, or as many as `trainer.groups` wants."""
    prompts, size = selected.prompts, trainer.sampling.group_size
    match trainer.groups:
        case Rounds():
            rollouts = _shape(trainer, _in_rounds(trainer, trainer.groups, prompts, ask))
            return replace(rollouts, chosen=keep_mixed(right_answers(trainer, rollouts), rollouts.valid, size))
        case Allocation(least=least, most=most):
            rates = [history.of(example_id).rate for example_id in selected.example_ids]
            counts = allocate(rates, size * len(prompts), least, most)
            rollouts = _shape(trainer, ask(prompts, [range(count) for count in counts]))
            return replace(rollouts, scales=rate_scales(right_answers(trainer, rollouts), rollouts.valid))
        case None:
            return _shape(trainer, ask(prompts, [range(size)] * len(prompts)))


def right_answers(trainer: Trainer, rollouts: RolloutBatch) -> Bool[Tensor, "P G"]:
    """The rollouts that count and are right."""
    return trainer.algorithm.right(rollouts, PASS_SCORE if trainer.pass_score is None else trainer.pass_score)


def first_answers(trainer: Trainer, groups: Sequence[Group]) -> list[Group]:
    """The answers that every prompt gets whatever they are.

    A prompt gets more answers the rarer right ones are, so that averages over all would be those of the hard prompts.
    """
    match trainer.groups:
        case Rounds(answers=count) | Allocation(least=count):
            return [group.first(count) for group in groups]
        case None:
            return list(groups)


def describe_drawing(trainer: Trainer, rollouts: RolloutBatch) -> dict[str, float]:
    """Metrics of all answers that were drawn; none, where each prompt has only its first ones."""
    if trainer.groups is None:
        return {}
    sizes = [len(group.rollouts) for group in rollouts.groups]
    metrics = {
        **{
            name: value
            for name, value in summarize(rollouts.groups, trainer.pass_score).items()
            if name.startswith(_OF_ALL)
        },
        "groups/answers": sum(sizes) / len(sizes),
        "groups/answers_max": float(max(sizes)),
    }
    if not isinstance(trainer.groups, Rounds):
        return metrics
    return {
        **metrics,
        "groups/rounds": metrics["groups/answers"] / trainer.groups.answers,
        "groups/resolved": _is_resolved(trainer, trainer.groups, rollouts).float().mean().item(),
    }


def _in_rounds(trainer: Trainer, rounds: Rounds, prompts: Sequence[Prompt], ask: Ask) -> list[Group]:
    """Everything that was drawn; after the first round only prompts are asked that are not resolved.

    The numbers of a prompt's answers go on from round to round, so no answer depends on what else is asked.
    """
    groups = ask(prompts, [range(rounds.answers)] * len(prompts))
    for drawn in range(rounds.answers, rounds.answers * rounds.most, rounds.answers):
        resolved = _is_resolved(trainer, rounds, _shape(trainer, groups)).tolist()
        places = [place for place, is_resolved in enumerate(resolved) if not is_resolved]
        if not places:
            break
        numbers = range(drawn, drawn + rounds.answers)
        for place, more in zip(places, ask([prompts[place] for place in places], [numbers] * len(places)), strict=True):
            groups[place] = groups[place].with_more(more)
    return groups


def _is_resolved(trainer: Trainer, rounds: Rounds, rollouts: RolloutBatch) -> Bool[Tensor, " P"]:
    return has_enough(right_answers(trainer, rollouts), rollouts.valid, rounds.rights, rounds.wrongs)


def _shape(trainer: Trainer, groups: Sequence[Group]) -> RolloutBatch:
    return trainer.algorithm.shape(RolloutBatch.of(groups), trainer.sampling.max_new_tokens)
