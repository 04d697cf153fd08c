"""One step's batch as the lessons of its updates: several epochs, in mini-batches of whole groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from verifine.data.randomness import random_for
from verifine.learner.learner import TrainingBatch, UpdateOutcome, UpdateReport

_EXTREMES = {"/max": max, "/min": min}
_STATES = ("learning_rate", "memory/micro_batch_tokens", "memory/shortages")
"""What an update says of itself rather than of its lesson."""


def minibatches(
    whole: TrainingBatch | None, epochs: int, mini_batches: int, key: tuple[int, int]
) -> Iterator[TrainingBatch]:
    """What each update of a step sees; nothing, where the step has no lesson.

    With a single update, the policy that learns is the one that sampled: its own log-probabilities are the old ones and
    every ratio is exactly 1, whatever another packing did to the last digits of the estimates.

    With one mini-batch an update sees the whole lesson. Else the groups are shuffled anew for each epoch, by `key` (the
    run's seed and the step), and dealt out as evenly as can be; there are no more mini-batches than groups.
    """
    if whole is None:
        return
    if epochs * mini_batches == 1:
        yield replace(whole, estimates=replace(whole.estimates, old_logprobs=None))
        return
    groups = len(whole.batch.groups)
    for epoch in range(epochs):
        if mini_batches == 1:
            yield whole
            continue
        order = list(range(groups))
        random_for("mini-batches", *key, epoch).shuffle(order)
        for part in torch.tensor(order, dtype=torch.long).tensor_split(min(mini_batches, max(groups, 1))):
            yield whole.part(part)


def merge_reports(reports: Sequence[UpdateReport]) -> dict[str, float]:
    """The metrics of a step's updates as one row: averages, but the extremes of extremes and the last state.

    `updates` counts those that changed the weights, `update_skipped` the others; a step without a lesson skips one.
    """
    names = dict.fromkeys(name for report in reports for name in report.metrics)
    merged = {name: _merge(name, [r.metrics[name] for r in reports if name in r.metrics]) for name in names}
    applied = sum(report.outcome is UpdateOutcome.APPLIED for report in reports)
    return {**merged, "updates": float(applied), "update_skipped": float(max(len(reports), 1) - applied)}


def _merge(name: str, values: Sequence[float]) -> float:
    if name in _STATES:
        return values[-1]
    for ending, extreme in _EXTREMES.items():
        if name.endswith(ending):
            return extreme(values)
    return sum(values) / len(values)
