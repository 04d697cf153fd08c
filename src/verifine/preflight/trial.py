"""Samples from the base model as in training, and measures how long that takes; nothing is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from verifine.algorithms.algorithm import Algorithm
from verifine.batch import RolloutBatch, collate
from verifine.config import AlgorithmConfig
from verifine.insights.scores import collect_scores, mean
from verifine.learner.packing import pack
from verifine.models.policy import Policy
from verifine.preflight.pace import Timings, Work
from verifine.preflight.sampling import SamplingFacts, ShownAnswer
from verifine.training.collect import grade_groups
from verifine.training.trainer import Trainer
from verifine.types import Grade, Group

PREFIX = "check/"
"""A prefix of prompt ids in the check, so that its answers use their own random numbers."""

STEP = 0
"""The step number of the check; those of training begin at 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The model's graded answers, and the seconds they took."""

    groups: tuple[Group, ...]
    sampling_s: float
    grading_s: float


def ask(trainer: Trainer, rows: int, samples: int) -> Asked:
    """Samples and grades the first prompts of training, with the check's own random numbers.

    It takes as many at a time as a step has, so that the time is that of a step.
    """
    prompts = [replace(prompt, id=PREFIX + prompt.id) for prompt in trainer.source.draw(0, rows)]
    sampling = replace(trainer.sampling, group_size=samples, step=STEP)
    groups: list[Group] = []
    started = trainer.clock()
    for start in range(0, rows, trainer.prompts_per_step):
        groups += trainer.engine.generate(prompts[start : start + trainer.prompts_per_step], sampling)
    sampled = trainer.clock()
    graded = grade_groups(trainer.grader, groups)
    return Asked(groups=tuple(graded), sampling_s=sampled - started, grading_s=trainer.clock() - sampled)


def observe(groups: Sequence[Group], algorithm: Algorithm, max_new_tokens: int) -> SamplingFacts:
    """The facts about the answers; rewards are shaped as by the algorithm."""
    shaped = algorithm.shape(RolloutBatch.of(groups), max_new_tokens)
    rule = algorithm.estimator
    with_signal = [
        bool(kept) and rule.has_signal(shaped.rewards[index : index + 1], shaped.valid[index : index + 1])
        for index, kept in enumerate(shaped.keeps.tolist())
    ]
    rates = (_rate(group.grades) for group in groups)
    return SamplingFacts(
        prompts=len(groups),
        samples=len(groups[0].rollouts),
        scores=collect_scores(grade for group in groups for grade in group.grades),
        prompt_rates=tuple(rate for rate in rates if rate is not None),
        groups_with_signal=sum(with_signal),
        has_signal=rule.has_signal(shaped.rewards[shaped.keeps], shaped.valid[shaped.keeps]),
        truncated=shaped.truncated().float().mean().item(),
        mean_tokens=shaped.lengths().float().mean().item(),
        different_texts=sum(_different(group) for group in groups) / len(groups),
        shown=_shown(groups),
    )


def _rate(grades: Sequence[Grade]) -> float | None:
    """The share of right answers, or the mean score if that is not judged; None: nothing could be scored."""
    scored = [grade for grade in grades if grade.score is not None]
    judged = [float(grade.answer_ok) for grade in scored if grade.answer_ok is not None]
    return mean(judged) if judged else mean([grade.score for grade in scored if grade.score is not None])


def _different(group: Group) -> float:
    return len({rollout.text for rollout in group.rollouts}) / len(group.rollouts)


def _shown(groups: Sequence[Group]) -> tuple[ShownAnswer, ...]:
    """The answer with the highest score and the one with the lowest; one that could not be scored where none could."""
    answers = [
        ShownAnswer(prompt=group.prompt.question, text=rollout.text, score=grade.score)
        for group in groups
        for rollout, grade in zip(group.rollouts, group.grades, strict=True)
    ]
    ranked = sorted(
        (each for each in answers if each.score is not None), key=lambda each: each.score or 0.0, reverse=True
    )
    if not ranked:
        return (answers[0],)
    return (ranked[0],) if ranked[0].score == ranked[-1].score else (ranked[0], ranked[-1])


def measure(asked: Asked, facts: SamplingFacts, trainer: Trainer, policy: Policy, micro_batch_tokens: int) -> Timings:
    """The seconds for as many prompts as a step has, or for all that were asked if there are fewer."""
    groups = min(trainer.prompts_per_step, facts.prompts)
    share = groups / facts.prompts
    signal = facts.groups_with_signal / facts.prompts
    return Timings(
        groups=groups,
        answers=groups * facts.samples,
        sampling_s=share * asked.sampling_s,
        grading_s=share * asked.grading_s,
        forward_s=share * _forward_seconds(asked.groups, trainer, policy, micro_batch_tokens),
        signal_share=signal if trainer.algorithm.compares_within_groups else float(facts.has_signal),
    )


def _forward_seconds(groups: Sequence[Group], trainer: Trainer, policy: Policy, micro_batch_tokens: int) -> float:
    """Seconds of a forward pass over all groups, from the faster of two passes over the first micro-batch."""
    batch = collate(RolloutBatch.of(groups), trainer.sampling.max_new_tokens)
    parts = pack(batch, batch.valid.any(dim=1), micro_batch_tokens, torch.device("cpu"))
    if not parts:
        return 0.0
    rollouts = [rollout for group in batch.groups for rollout in group.rollouts]
    first = [rollouts[row] for row in batch.row[parts[0].index].unique().tolist()]
    seconds = []
    for _ in range(2):
        started = trainer.clock()
        policy.logprobs(first, trainer.sampling)
        seconds.append(trainer.clock() - started)
    tokens = [len(part.tree.token_ids) for part in parts]
    return min(seconds) * sum(tokens) / tokens[0]


def work_of(trainer: Trainer, config: AlgorithmConfig) -> Work:
    """The work of a step of this algorithm."""
    algorithm = trainer.algorithm
    has_critic_model = config.critic is not None and config.critic.kind == "model"
    estimates = (
        config.updates_per_step > 1 or algorithm.penalises_in_reward,
        algorithm.needs_reference,
        algorithm.loss.value is not None,
    )
    return Work(
        rounds=1 + (0 if algorithm.recipe.group_filter is None else trainer.max_resample),
        estimates=sum(estimates),
        updates=trainer.epochs * (2 if has_critic_model else 1),
        is_saving=not algorithm.loss.moves_every_token or config.subsample is not None,
    )
