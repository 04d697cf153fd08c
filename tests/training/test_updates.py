from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch

from verifine.algorithms import Loss
from verifine.learner.learner import TokenStatistics, TrainingBatch, UpdateOutcome, UpdateReport
from verifine.learner.metric_sums import MetricAccumulator, MetricSums
from verifine.testing import FakeLearner
from verifine.testing.trainers import right_when_even, scripted_trainer
from verifine.training.step import train_step
from verifine.training.trainer import Progress
from verifine.training.updates import make_updates, merge_metrics, top_entropy

APPLIED, NOT_FINITE = UpdateOutcome.APPLIED, UpdateOutcome.NOT_FINITE


def test_updates_become_one_row_of_averages_extremes_and_last_states() -> None:
    first = {"entropy": 1.0, "ratio/max": 2.0, "ratio/min": 0.9, "learning_rate": 0.1}
    second = {"entropy": 4.0, "ratio/max": 1.5, "ratio/min": 0.5, "learning_rate": 0.2, "kl": 3.0}
    assert merge_metrics([APPLIED, NOT_FINITE], [first, second]) == {
        "entropy": 2.5,
        "ratio/max": 2.0,
        "ratio/min": 0.5,
        "learning_rate": 0.2,
        "kl": 3.0,
        "updates": 1.0,
        "update_skipped": 1.0,
    }


def test_a_step_without_an_update_skips_one() -> None:
    trainer, _, learner = scripted_trainer(right_when_even)
    updates = make_updates(trainer, None, trainer.algorithm.loss, 1.0, (0, 1))
    assert (updates.outcomes, updates.tokens, learner.training_batches) == ((), None, [])
    assert updates.metrics == {"updates": 0.0, "update_skipped": 1.0}


def test_what_the_first_update_found_of_a_token_is_kept() -> None:
    class Counting(FakeLearner):
        """Says of every token which update read it."""

        def __init__(self, numbers: Iterator[float]) -> None:
            super().__init__()
            self._numbers = numbers

        def update(self, training_batch: TrainingBatch, loss: Loss, rate_factor: float = 1.0) -> UpdateReport:
            report = super().update(training_batch, loss)
            number = torch.full((len(training_batch.batch.tokens),), next(self._numbers))
            return replace(report, tokens=TokenStatistics(entropy=number, ratio=number + 0.5))

    trainer, _, _ = scripted_trainer(right_when_even)
    learner = Counting(iter([0.0, 1.0, 2.0, 3.0]))
    result = train_step(replace(trainer, learner=learner, epochs=2, mini_batches=2), Progress())
    assert result.training_batch is not None
    assert result.tokens is not None
    first = {group.prompt.id for group in learner.training_batches[0].batch.groups}
    batch = result.training_batch.batch
    expected = [0.0 if batch.groups[row // batch.group_size].prompt.id in first else 1.0 for row in batch.row.tolist()]
    assert result.tokens.entropy.tolist() == expected
    assert torch.equal(result.tokens.ratio, result.tokens.entropy + 0.5)


def test_the_top_fifth_are_the_tokens_that_the_model_is_most_undecided_about() -> None:
    unknown = math.nan
    assert top_entropy(torch.tensor([0.1, 0.0, 2.0, unknown, 0.3, 0.2])) == 2.0  # one of five
    assert top_entropy(torch.tensor([0.5, 1.0, 0.0, 0.0, 0.0, 0.0])) == 0.75  # two of six
    assert top_entropy(torch.tensor([unknown])) is None
    assert top_entropy(torch.tensor([])) is None


def test_tokens_that_no_update_read_are_nan() -> None:
    trainer, _, _ = scripted_trainer(right_when_even)
    result = train_step(trainer, Progress())
    assert result.tokens is not None
    assert all(math.isnan(value) for value in result.tokens.ratio.tolist())


def sums_of(*parts: list[float]) -> MetricSums:
    metrics = MetricAccumulator()
    for part in parts:
        values = torch.tensor(part)
        metrics.total("loss", values.sum())
        metrics.mean("entropy", values)
        metrics.highest("ratio/max", values)
        metrics.lowest("ratio/min", values)
    return metrics.read()


def test_sums_of_parts_add_up_to_those_of_the_whole() -> None:
    whole = sums_of([1.0, 2.0, 6.0, 3.0])
    assert sums_of([1.0, 2.0]) + sums_of([6.0, 3.0]) == sums_of([1.0], [2.0, 6.0, 3.0]) == whole
    assert whole.metrics() == {"loss": 12.0, "entropy": 3.0, "ratio/max": 6.0, "ratio/min": 1.0}


def test_a_metric_that_one_part_lacks_is_that_of_the_other() -> None:
    metrics = MetricAccumulator()
    metrics.mean("kl", torch.tensor([1.0, 3.0]))
    both = sums_of([1.0]) + metrics.read()
    assert both.metrics()["kl"] == 2.0
    assert both.counts == {"entropy": 1, "kl": 2}
