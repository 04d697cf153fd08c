"""A step's training batch as those of its updates: several epochs, in mini-batches of whole groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from verifine.data.randomness import random_for
from verifine.learner.learner import TrainingBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniBatch:
    """What one update sees."""

    training_batch: TrainingBatch
    index: Int[Tensor, " n"]
    """Where its tokens stand on the axis of the whole step."""


def minibatches(whole: TrainingBatch, epochs: int, mini_batches: int, key: tuple[int, int]) -> Iterator[MiniBatch]:
    """What each update of a step sees.

    With a single update, the policy that learns is the one that sampled: its own log-probabilities are the old ones and
    every ratio is exactly 1, even where another packing would round the estimates differently.

    With one mini-batch an update sees the whole step. Otherwise the groups are shuffled anew for each epoch, by `key`
    (the run's seed and the step), and dealt out as evenly as possible; there are no more mini-batches than groups.
    """
    everything = torch.arange(len(whole.batch.tokens))
    if epochs * mini_batches == 1:
        own = replace(whole, estimates=replace(whole.estimates, old_logprobs=None))
        yield MiniBatch(training_batch=own, index=everything)
        return
    groups = len(whole.batch.groups)
    for epoch in range(epochs):
        if mini_batches == 1:
            yield MiniBatch(training_batch=whole, index=everything)
            continue
        order = list(range(groups))
        random_for("mini-batches", *key, epoch).shuffle(order)
        for chosen in torch.tensor(order, dtype=torch.long).tensor_split(min(mini_batches, max(groups, 1))):
            part, index = whole.part(chosen)
            yield MiniBatch(training_batch=part, index=index)
