"""The updates of a step, and their metrics as one row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.algorithms.loss import Loss
from verifine.learner.learner import TokenStatistics, TrainingBatch, UpdateOutcome, UpdateReport
from verifine.training.minibatches import MiniBatch, minibatches
from verifine.training.trainer import Trainer

TOP_SHARE = 0.2
_EXTREMES = {"/max": max, "/min": min}
_STATES = ("learning_rate", "memory/micro_batch_tokens", "memory/shortages")
"""Gauges that describe a state: the last update's counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """What the updates of a step did; none, where its rewards say nothing."""

    outcomes: tuple[UpdateOutcome, ...] = ()
    metrics: Mapping[str, float]
    tokens: TokenStatistics | None = None
    """On the token axis of the step, each token as the first update that read it found it. None: no update."""

    @property
    def applied(self) -> int:
        return self.outcomes.count(UpdateOutcome.APPLIED)


def make_updates(
    trainer: Trainer, whole: TrainingBatch | None, loss: Loss, rate_factor: float, key: tuple[int, int]
) -> Updates:
    """Updates the learner with every mini-batch; `key` (the run's seed and the step) decides what is in each."""
    if whole is None:
        return Updates(metrics=merge_metrics((), ()))
    outcomes, metrics = [], []
    unknown = torch.full((len(whole.batch.tokens),), float("nan"))
    tokens = TokenStatistics(entropy=unknown, ratio=unknown)
    for part in minibatches(whole, trainer.epochs, trainer.mini_batches, key):
        report = trainer.learner.update(part.training_batch, loss, rate_factor)
        outcomes.append(report.outcome)
        metrics.append({**report.metrics, **_critic_metrics(part.training_batch, report)})
        tokens = tokens if report.tokens is None else _fill_in(tokens, report.tokens, part)
    top = top_entropy(tokens.entropy)
    return Updates(
        outcomes=tuple(outcomes),
        metrics={**merge_metrics(outcomes, metrics), **({} if top is None else {"entropy_top_fifth": top})},
        tokens=tokens,
    )


def top_entropy(entropy: Float[Tensor, " N"]) -> float | None:
    """The mean of the highest fifth of the entropies, at least of one; NaN is not known. None: none is.

    Few tokens of an answer are decisions, and those have the highest entropy (arXiv:2506.01939). All tokens of a step
    are compared, so it does not depend on micro-batches.
    """
    known = entropy[~entropy.isnan()]
    return known.topk(math.ceil(TOP_SHARE * len(known))).values.mean().item() if len(known) else None


def merge_metrics(outcomes: Sequence[UpdateOutcome], updates: Sequence[dict[str, float]]) -> dict[str, float]:
    """The metrics of a step's updates as one row: their averages, the extremes of extremes, the last of states.

    Every update counts the same in an average, however many tokens it had.
    `updates` counts those that changed the weights, `update_skipped` the others; a step without an update skips one.
    """
    names = dict.fromkeys(name for metrics in updates for name in metrics)
    merged = {name: _merge(name, [metrics[name] for metrics in updates if name in metrics]) for name in names}
    applied = sum(outcome is UpdateOutcome.APPLIED for outcome in outcomes)
    return {**merged, "updates": float(applied), "update_skipped": float(max(len(outcomes), 1) - applied)}


def _merge(name: str, values: Sequence[float]) -> float:
    if name in _STATES:
        return values[-1]
    for ending, extreme in _EXTREMES.items():
        if name.endswith(ending):
            return extreme(values)
    return sum(values) / len(values)


def _critic_metrics(training_batch: TrainingBatch, report: UpdateReport) -> dict[str, float]:
    explained = None if report.outcome is UpdateOutcome.NO_SIGNAL else training_batch.explained_variance()
    return {} if explained is None else {"critic/explained_variance": explained}


def _fill_in(known: TokenStatistics, new: TokenStatistics, part: MiniBatch) -> TokenStatistics:
    def fill(values: Float[Tensor, " N"], found: Float[Tensor, " n"]) -> Float[Tensor, " N"]:
        spread = torch.full_like(values, float("nan"))
        spread[part.index] = found.to(values)
        return torch.where(values.isnan(), spread, values)

    return TokenStatistics(entropy=fill(known.entropy, new.entropy), ratio=fill(known.ratio, new.ratio))
