"""What every learner must do, as checks to run on one.

@pytest.mark.parametrize("check", LEARNER_CHECKS)
def test_my_learner(check: LearnerCheck, tmp_path: Path) -> None:
check(LearnerCase(make=my_learner, tokenizer=model.tokenizer, groups=sample_groups(model), algorithm=algorithm))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from verifine.algorithms.algorithm import Algorithm
from verifine.batch import RolloutBatch, collate
from verifine.errors import TrainingError
from verifine.learner.learner import Learner, LearnerState, TrainingBatch, UpdateOutcome, UpdateReport
from verifine.testing.training_batches import MAX_TOKENS
from verifine.types import Group

WHOLE, PARTS = 10_000, 40
"""Tokens of a micro-batch: all at once, and few at a time."""

TOLERANCE = 1e-5
"""Relative difference that another order of adding up makes in float32."""

SAMPLING_TOLERANCE = 1e-3
"""Largest difference, in nats, to the log-probabilities of an engine that samples in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerCase:
    """A learner to be checked."""

    make: Callable[[int], Learner]
    """Makes a learner that reads so many tokens at a time, always with the same weights."""
    tokenizer: PreTrainedTokenizerFast
    """Of the model, which should have more rows than tokens."""
    groups: Sequence[Group]
    """Graded answers of its policy; at least two groups have different scores."""
    algorithm: Algorithm

    def training_batch(self, learner: Learner, groups: Sequence[Group] | None = None) -> TrainingBatch:
        batch = collate(RolloutBatch.of(self.groups if groups is None else groups), MAX_TOKENS)
        estimates = learner.estimate(batch)
        return TrainingBatch(batch=batch, estimates=estimates, advantages=self.algorithm.advantages(batch, estimates))

    def update(self, learner: Learner, training_batch: TrainingBatch | None = None) -> UpdateReport:
        given = self.training_batch(learner) if training_batch is None else training_batch
        return learner.update(given, self.algorithm.loss)


LearnerCheck = Callable[[LearnerCase], None]


def check_estimates_change_nothing(case: LearnerCase) -> None:
    learner = case.make(WHOLE)
    before = _copy(learner.state())
    training_batch = case.training_batch(learner)
    assert _equal(before, learner.state())
    old_logprobs = training_batch.estimates.old_logprobs
    assert old_logprobs is None or len(old_logprobs) == len(training_batch.batch.tokens)


def check_an_update_changes_the_weights_and_counts(case: LearnerCase) -> None:
    learner = case.make(WHOLE)
    before = _copy(learner.state())
    weights = {name: tensor.detach().clone() for name, tensor in learner.weights().items()}
    report = case.update(learner)
    assert report.outcome is UpdateOutcome.APPLIED
    assert learner.state().updates == before.updates + 1
    assert any(not torch.equal(weights[name], tensor) for name, tensor in learner.weights().items())


def check_parts_add_up_to_the_whole(case: LearnerCase) -> None:
    """However many tokens are read at a time, the update and what it reports are the same."""
    whole, parts = case.make(WHOLE), case.make(PARTS)
    reports = [case.update(learner) for learner in (whole, parts)]
    assert _distance(whole.weights(), parts.weights()) < TOLERANCE
    assert reports[0].sums.counts == reports[1].sums.counts
    for name, value in reports[0].sums.metrics().items():
        assert abs(reports[1].sums.metrics()[name] - value) <= TOLERANCE * max(abs(value), 1.0), name


def check_sums_of_ranks_add(case: LearnerCase) -> None:
    """Learners with some of the groups each report sums that add up to those of one learner with all of them."""
    middle = len(case.groups) // 2
    ranks = [case.make(WHOLE) for _ in range(2)]
    halves = (case.groups[:middle], case.groups[middle:])
    first, second = (
        case.update(learner, case.training_batch(learner, half)) for learner, half in zip(ranks, halves, strict=True)
    )
    everything = case.update(case.make(WHOLE))
    both = first.sums + second.sums
    assert both.counts == everything.sums.counts
    for name in ("entropy", "mismatch/mean", "mismatch/max", "ratio/mean", "ratio/max", "ratio/min"):
        assert abs(both.metrics()[name] - everything.sums.metrics()[name]) < TOLERANCE, name


def check_tokens_are_reported_where_they_were_read(case: LearnerCase) -> None:
    learner = case.make(PARTS)
    training_batch = case.training_batch(learner)
    own = replace(training_batch, estimates=replace(training_batch.estimates, old_logprobs=None))
    tokens = case.update(learner, own).tokens
    assert tokens is not None
    assert tokens.entropy.shape == tokens.ratio.shape == own.batch.tokens.shape
    is_read = ~tokens.ratio.isnan()
    moving = own.moving_groups()[own.batch.row // own.batch.group_size]
    assert bool(is_read[moving].all())
    assert bool((tokens.ratio[is_read] == 1).all()), "the update's own log-probabilities are the old ones"
    assert bool((tokens.entropy[is_read] >= 0).all())


def check_groups_count_as_much_as_their_weights_say(case: LearnerCase) -> None:
    """As if their advantages were multiplied by them; a group of weight 0 is not read."""
    weighted, scaled = case.make(WHOLE), case.make(WHOLE)
    own = case.training_batch(weighted)
    group = own.batch.row // own.batch.group_size
    first = int(own.moving_groups().nonzero()[0])
    weights = torch.arange(len(own.batch.groups)) + 1.0
    weights[first] = 0.0
    loss = replace(case.algorithm.loss, kl=None, entropy_bonus=0.0)
    if loss.value is not None:
        loss = replace(loss, value=replace(loss.value, coefficient=0.0))
    report = weighted.update(replace(own, group_weights=weights), loss)
    multiplied = replace(own.advantages, advantages=own.advantages.advantages * weights[group])
    scaled.update(replace(own, advantages=multiplied), loss)
    assert _distance(weighted.weights(), scaled.weights()) < TOLERANCE
    assert report.tokens is not None
    assert bool(report.tokens.ratio[group == first].isnan().all())


def check_nothing_is_learned_without_advantages(case: LearnerCase) -> None:
    learner = case.make(WHOLE)
    before = _copy(learner.state())
    training_batch = case.training_batch(learner)
    nothing = torch.zeros_like(training_batch.advantages.advantages)
    silent = replace(training_batch, advantages=replace(training_batch.advantages, advantages=nothing))
    loss = replace(case.algorithm.loss, kl=None, entropy_bonus=0.0, value=None)
    report = learner.update(silent, loss)
    assert (report.outcome, report.tokens) == (UpdateOutcome.NO_SIGNAL, None)
    assert _equal(before, learner.state())


def check_an_infinite_gradient_leaves_the_weights(case: LearnerCase) -> None:
    """And the next update is as if it had never been."""
    learner, undisturbed = case.make(WHOLE), case.make(WHOLE)
    before = _copy(learner.state())
    training_batch = case.training_batch(learner)
    infinite = torch.full_like(training_batch.advantages.advantages, float("inf"))
    broken = replace(training_batch, advantages=replace(training_batch.advantages, advantages=infinite))
    assert case.update(learner, broken).outcome is UpdateOutcome.NOT_FINITE
    assert _equal(before, learner.state())
    for each in (learner, undisturbed):
        assert case.update(each).outcome is UpdateOutcome.APPLIED
    assert _equal(learner.state(), undisturbed.state())


def check_a_restored_learner_continues_to_the_bit(case: LearnerCase) -> None:
    learner, restored = case.make(WHOLE), case.make(WHOLE)
    case.update(learner)
    saved = _copy(learner.state())
    restored.restore(saved)
    assert _equal(saved, restored.state())
    for each in (learner, restored):
        case.update(each)
    assert _equal(learner.state(), restored.state())
    assert all(torch.equal(tensor, restored.weights()[name]) for name, tensor in learner.weights().items())


def check_log_probabilities_are_those_of_sampling(case: LearnerCase) -> None:
    """Also where the model has more rows than tokens: an engine gives these no probability."""
    learner = case.make(WHOLE)
    training_batch = case.training_batch(learner)
    own = replace(training_batch, estimates=replace(training_batch.estimates, old_logprobs=None))
    assert case.update(learner, own).sums.metrics()["mismatch/max"] <= SAMPLING_TOLERANCE


def check_an_answer_with_an_unknown_id_is_refused(case: LearnerCase) -> None:
    learner = case.make(WHOLE)
    before = _copy(learner.state())
    unknown = max(case.tokenizer.get_vocab().values()) + 1
    first = case.groups[0]
    answer = replace(first.rollouts[0], token_ids=(unknown, *first.rollouts[0].token_ids[1:]))
    wrong = replace(first, rollouts=(answer, *first.rollouts[1:]))
    refusal = ""
    try:
        case.update(learner, case.training_batch(learner, [wrong, *case.groups[1:]]))
    except TrainingError as error:
        refusal = str(error)
    assert str(unknown) in refusal
    assert _equal(before, learner.state())


LEARNER_CHECKS: Sequence[LearnerCheck] = (
    check_estimates_change_nothing,
    check_an_update_changes_the_weights_and_counts,
    check_parts_add_up_to_the_whole,
    check_sums_of_ranks_add,
    check_tokens_are_reported_where_they_were_read,
    check_groups_count_as_much_as_their_weights_say,
    check_nothing_is_learned_without_advantages,
    check_an_infinite_gradient_leaves_the_weights,
    check_a_restored_learner_continues_to_the_bit,
    check_log_probabilities_are_those_of_sampling,
    check_an_answer_with_an_unknown_id_is_refused,
)


def _copy(state: LearnerState) -> LearnerState:
    return replace(state, tensors={name: tensor.detach().clone() for name, tensor in state.tensors.items()})


def _equal(one: LearnerState, other: LearnerState) -> bool:
    """Whether two states are the same to the bit."""
    return (one.updates, one.tensors.keys()) == (other.updates, other.tensors.keys()) and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The norm of the difference, as a share of the norm."""
    names = sorted(one)
    first, second = (torch.cat([each[name].detach().flatten() for name in names]) for each in (one, other))
    return float((first - second).norm() / first.norm())
