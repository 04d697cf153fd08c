"""One training step: reinforcement fine-tuning on one screen.

prompts -> rollouts -> grades -> groups to train on -> advantages -> updates -> the engine's new weights
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from verifine.algorithms.entropy_control import EntropyState, next_entropy_state
from verifine.algorithms.loss import Loss
from verifine.algorithms.subsampling import draw_weights, gradient_bounds, keep_chances
from verifine.batch import Batch, RolloutBatch, collate, sampled_entropy
from verifine.data.randomness import random_for
from verifine.learner.learner import TokenStatistics, TrainingBatch, UpdateOutcome
from verifine.training.collect import collect
from verifine.training.drawing import first_answers
from verifine.training.stopwatch import Stopwatch
from verifine.training.summary import summarize
from verifine.training.trainer import Progress, Trainer
from verifine.training.updates import make_updates
from verifine.types import Group, StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step leaves behind."""

    progress: Progress
    report: StepReport
    outcomes: tuple[UpdateOutcome, ...]
    """One for each update; empty without a training batch."""
    rollouts: RolloutBatch
    training_batch: TrainingBatch | None
    """Made of the groups that are kept. None: they teach nothing."""
    tokens: TokenStatistics | None
    """On the token axis of `training_batch`. None: there is none."""

    @property
    def has_signal(self) -> bool:
        """Whether the rewards said which answers were better."""
        return self.training_batch is not None and bool(self.training_batch.moving_groups().any())


def train_step(
    trainer: Trainer,
    progress: Progress,
    before_update: Callable[[], None] | None = None,
    rate_factor: float = 1.0,
) -> StepResult:
    """Samples, grades, estimates advantages and learns; from then on the engine samples from what was learned.

    `before_update` is called when the weights are about to change. None: nothing else uses them. The learning rate is
    multiplied by `rate_factor`.
    """
    step = progress.step + 1
    sampling = replace(trainer.sampling, step=step)
    watch = Stopwatch(trainer.clock)

    collection = collect(trainer, sampling, progress, watch)
    rollouts = collection.rollouts
    loss = trainer.algorithm.loss_of_step(progress.entropy)
    key = (sampling.seed, step)
    training_batch = _training_batch(trainer, collate(rollouts, sampling.max_new_tokens), loss, watch, key)
    with watch.measure("update"):
        if before_update is not None and training_batch is not None:
            before_update()
        updates = make_updates(trainer, training_batch, loss, rate_factor, key)
        version = progress.updates + updates.applied
        trainer.engine.load_weights(trainer.learner.weights(), version=version)
        compared = {}
        if trainer.canary is not None:
            compared = trainer.canary.check(trainer.engine, version, updates.metrics.get("mismatch/mean"))

    tokens = progress.tokens + rollouts.tokens
    first = first_answers(trainer, rollouts.groups)
    entropy, held = _hold_entropy(trainer, progress.entropy, first)
    return StepResult(
        progress=Progress(
            step=step,
            position=collection.position,
            updates=version,
            tokens=tokens,
            entropy=entropy,
            history=collection.history,
        ),
        report=StepReport(
            step=step,
            metrics={
                **summarize(first, trainer.pass_score),
                **updates.metrics,
                **compared,
                **_count_groups(trainer, rollouts, training_batch),
                **held,
                **collection.metrics,
                "num_tokens": float(tokens),
                "tokens_per_second": watch.rate("generate", rollouts.tokens),
                **watch.metrics(),
            },
        ),
        outcomes=updates.outcomes,
        rollouts=rollouts,
        training_batch=training_batch,
        tokens=updates.tokens,
    )


def _count_groups(trainer: Trainer, rollouts: RolloutBatch, training_batch: TrainingBatch | None) -> dict[str, float]:
    return {
        "groups/trained": 0.0 if training_batch is None else float(_trained_groups(training_batch).sum()),
        "groups/resampled": float(len(rollouts.groups) - trainer.prompts_per_step),
        "groups/missing": float(trainer.prompts_per_step - len(rollouts.kept_groups)),
    }


def _trained_groups(training_batch: TrainingBatch) -> Bool[Tensor, " P"]:
    return training_batch.moving_groups() & training_batch.weighted_groups()


def _hold_entropy(
    trainer: Trainer, state: EntropyState, groups: Sequence[Group]
) -> tuple[EntropyState, dict[str, float]]:
    """The controller's state after the step, and its metrics; none, where there is no controller."""
    settings = trainer.algorithm.entropy_control
    if settings is None:
        return state, {}
    target = state.target(settings)
    metrics = {"entropy_control/bonus": state.bonus, **({} if target is None else {"entropy_control/target": target})}
    return next_entropy_state(state, sampled_entropy(groups), settings), metrics


def _training_batch(
    trainer: Trainer, batch: Batch, loss: Loss, watch: Stopwatch, key: tuple[int, int]
) -> TrainingBatch | None:
    """The batch with estimates and advantages; None: there is nothing to learn from it.

    Where its rewards do not say which answers were better, advantages would be noise: they are 0, and only an entropy
    bonus is learned from.
    """
    has_signal = trainer.algorithm.estimator.has_signal(batch.rewards, batch.valid)
    if not (has_signal or (loss.entropy_bonus and batch.valid.any())):
        return None
    with watch.measure("estimate"):
        estimates = trainer.learner.estimate(batch)
    advantages = trainer.algorithm.advantages(batch, estimates)
    if not has_signal:
        advantages = replace(advantages, advantages=torch.zeros_like(advantages.advantages))
    whole = TrainingBatch(batch=batch, estimates=estimates, advantages=advantages)
    return whole if trainer.subsample is None else _subsampled(whole, trainer.subsample, loss, key)


def _subsampled(whole: TrainingBatch, cutoff: float, loss: Loss, key: tuple[int, int]) -> TrainingBatch:
    """The groups that have little gradient are kept by chance, which `key` (the run's seed and the step) decides."""
    batch, old = whole.batch, whole.estimates.old_logprobs
    bounds = gradient_bounds(
        loss.weights(batch.row, batch.group_size, batch.max_tokens),
        whole.advantages.advantages,
        batch.behaviour_logprobs if old is None else old,
        batch.row // batch.group_size,
        len(batch.groups),
    )
    random = random_for("subsample", *key)
    return replace(whole, group_weights=draw_weights(keep_chances(bounds, cutoff), [random.random() for _ in bounds]))
