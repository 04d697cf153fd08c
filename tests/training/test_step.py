from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from verifine.batch import Batch, Estimates, sampled_entropy
from verifine.config import EntropyControlConfig
from verifine.config.recipes import RECIPES
from verifine.errors import GraderError
from verifine.graders import callable_grader
from verifine.learner.learner import UpdateOutcome
from verifine.testing import FakeLearner
from verifine.testing.trainers import right_when_even, scripted_trainer
from verifine.training.step import train_step
from verifine.training.trainer import Progress
from verifine.types import Grade, Prompt, Sample


def test_a_step_learns_from_what_it_sampled_and_tells_the_engine() -> None:
    trainer, engine, learner = scripted_trainer(right_when_even)
    result = train_step(trainer, Progress(step=4, position=3, updates=2, tokens=100))

    assert [len(ids) for ids, _ in engine.calls] == [3]
    assert engine.calls[0][1].step == 5
    (training_batch,) = learner.training_batches
    batch, advantages = training_batch.batch, training_batch.advantages.advantages
    assert batch.rewards.tolist() == [[1, 0, 1, 0]] * 3
    expected = 0.5 / ((1 / 3) ** 0.5 + 1e-4)
    # Every right answer is one character long, every wrong one five.
    assert advantages.tolist() == pytest.approx(([expected] + [-expected] * 5) * 6)
    assert engine.version == 3
    assert result.progress == Progress(step=5, position=6, updates=3, tokens=100 + 3 * 2 * (1 + 5))
    assert result.report.step == 5


def test_a_steps_metrics_are_those_of_its_answers() -> None:
    trainer, _, _ = scripted_trainer(right_when_even)
    metrics = train_step(trainer, Progress()).report.metrics
    assert metrics["reward"] == 0.5
    assert metrics["reward_std"] == pytest.approx((1 / 3) ** 0.5)
    assert metrics["frac_reward_zero_std"] == 0
    assert metrics["completions/mean_length"] == 3
    assert metrics["completions/max_length"] == 5
    assert metrics["completions/clipped_ratio"] == 0
    assert metrics["unscorable"] == 0
    assert metrics["groups/trained"] == 3
    assert metrics["num_tokens"] == metrics["tokens_per_second"] == 36
    # The fake clock ticks once a reading: each of the four stages takes one second.
    assert [metrics[f"timing/{stage}_s"] for stage in ("generate", "grade", "estimate", "update")] == [1, 1, 1, 1]
    assert "answer_accuracy" not in metrics
    # Two of four answers score 1, in every group.
    assert [metrics[f"groups/frac_{kind}"] for kind in ("all_right", "mixed", "all_wrong")] == [0, 1, 0]
    assert metrics["completions/entropy_estimate"] == 3  # the engine says -1 of every token


def test_an_update_that_was_not_applied_is_not_counted() -> None:
    trainer, engine, _ = scripted_trainer(right_when_even, outcome=UpdateOutcome.NOT_FINITE)
    result = train_step(trainer, Progress(updates=2))
    assert result.progress.updates == engine.version == 2
    assert result.outcomes == (UpdateOutcome.NOT_FINITE,)


def test_unscorable_answers_get_no_advantage_and_are_counted() -> None:
    trainer, _, learner = scripted_trainer(right_when_even)
    broken = callable_grader(lambda sample, item: 1 / 0 if sample["output_text"] == "wrong" else 1.0)
    result = train_step(replace(trainer, grader=broken), Progress())
    assert result.rollouts.valid.tolist() == [[True, False, True, False]] * 3
    assert learner.training_batches == [], "what is left scored the same"
    assert result.report.metrics["unscorable"] == 6
    assert result.report.metrics["reward"] == 1


@pytest.mark.parametrize(("count", "message"), [(5, "5 grades for 12"), (13, "13 grades for 12")])
def test_a_grader_owes_one_grade_an_answer(count: int, message: str) -> None:
    class Miscounting:
        def grade(self, samples: Sequence[Sample]) -> list[Grade]:
            return [Grade(score=1.0)] * count

        def close(self) -> None: ...

    trainer, _, _ = scripted_trainer(right_when_even)
    with pytest.raises(GraderError, match=message):
        train_step(replace(trainer, grader=Miscounting()), Progress())


def test_a_score_that_is_not_a_number_is_unscorable() -> None:
    class Undecided:
        def grade(self, samples: Sequence[Sample]) -> list[Grade]:
            return [Grade(score=float("nan") if index % 2 else 1.0) for index in range(len(samples))]

        def close(self) -> None: ...

    trainer, _, _ = scripted_trainer(right_when_even)
    result = train_step(replace(trainer, grader=Undecided()), Progress())
    assert result.report.metrics["unscorable"] == 6
    assert result.rollouts.valid.tolist() == [[True, False, True, False]] * 3


def test_the_overlong_penalty_and_dropping_reach_the_batch() -> None:
    trainer, _, learner = scripted_trainer(lambda prompt, sample: str(prompt.item["want"]) + "." * (2 * sample))
    soft = replace(trainer.algorithm, overlong_share=0.5)
    train_step(replace(trainer, algorithm=soft), Progress())
    (training_batch,) = learner.training_batches
    batch = training_batch.batch
    # Lengths 1, 3, 5, 7 of at most 8: the last four tokens cost a quarter each.
    assert batch.rewards.tolist() == [[1, 0, -0.25, -0.75]] * 3
    hard = replace(trainer.algorithm, drops_truncated=True)
    train_step(replace(trainer, algorithm=hard, sampling=replace(trainer.sampling, max_new_tokens=4)), Progress())
    assert learner.training_batches[1].batch.valid.tolist() == [[True, True, False, False]] * 3


def test_a_step_without_signal_still_learns_from_an_entropy_bonus() -> None:
    trainer, _, learner = scripted_trainer(lambda prompt, _sample: str(prompt.item["want"]))
    silent = train_step(trainer, Progress())
    assert (silent.training_batch, silent.has_signal, learner.training_batches) == (None, False, [])
    loss = replace(trainer.algorithm.loss, entropy_bonus=0.1)
    result = train_step(replace(trainer, algorithm=replace(trainer.algorithm, loss=loss)), Progress())
    assert not result.has_signal
    (training_batch,) = learner.training_batches
    assert len(training_batch.batch.tokens) > 0
    assert training_batch.advantages.advantages.count_nonzero() == 0


def test_the_entropy_controller_goes_on_from_step_to_step() -> None:
    trainer, _, learner = scripted_trainer(right_when_even)
    control = EntropyControlConfig(target=2.0, start_steps=1, step=0.5, highest=0.7)
    held = replace(trainer, algorithm=replace(trainer.algorithm, entropy_control=control))
    progress, bonuses = Progress(), []
    for _ in range(4):
        result = train_step(held, progress)
        progress = result.progress
        bonuses.append(result.report.metrics["entropy_control/bonus"])
    # The scripted answers stay as likely as they are, so the entropy stays under twice its start.
    assert bonuses == [0.0, 0.0, 0.5, 0.7]
    assert [loss.entropy_bonus for loss in learner.losses] == bonuses
    entropy = sampled_entropy(result.rollouts.groups)
    assert entropy is not None
    assert result.report.metrics["entropy_control/target"] == pytest.approx(2 * entropy)


def test_several_updates_a_step_go_over_the_batch_in_shuffled_parts() -> None:
    trainer, engine, learner = scripted_trainer(right_when_even)
    result = train_step(replace(trainer, epochs=6, mini_batches=2), Progress(step=4, updates=2))
    assert result.training_batch is not None
    asked = [[group.prompt.id for group in training_batch.batch.groups] for training_batch in learner.training_batches]
    everyone = sorted(group.prompt.id for group in result.training_batch.batch.groups)
    assert [len(part) for part in asked] == [2, 1] * 6
    assert all(sorted(asked[i] + asked[i + 1]) == everyone for i in range(0, 12, 2))
    assert len({tuple(part) for part in asked}) > 2, "each epoch is shuffled anew"
    # Advantages are those of the whole step, whatever part of it is seen.
    for training_batch in learner.training_batches:
        assert (
            training_batch.advantages.advantages.abs().min() == result.training_batch.advantages.advantages.abs().max()
        )
        assert len(training_batch.advantages.advantages) == len(training_batch.batch.tokens)
    assert result.progress.updates == engine.version == 2 + 12
    assert result.report.metrics["updates"] == 12
    again, _, other = scripted_trainer(right_when_even)
    train_step(replace(again, epochs=6, mini_batches=2), Progress(step=4, updates=2))
    assert [[g.prompt.id for g in training_batch.batch.groups] for training_batch in other.training_batches] == asked


def test_the_format_gate_takes_the_reward_of_a_badly_formatted_answer() -> None:
    class Lenient:
        """Right answers score whatever their format; wrong ones cost."""

        def grade(self, samples: Sequence[Sample]) -> list[Grade]:
            return [
                Grade(
                    score=1.0 if sample.output_text.startswith("yes") else -1.0, format_ok="." not in sample.output_text
                )
                for sample in samples
            ]

        def close(self) -> None: ...

    texts = ["yes", "yes.", "no", "no."]
    trainer, _, learner = scripted_trainer(lambda _, sample: texts[sample])
    gated = replace(trainer.algorithm, gates_format=True)
    train_step(replace(trainer, grader=Lenient(), algorithm=gated), Progress())
    assert learner.training_batches[0].batch.rewards.tolist() == [[1, 0, -1, -1]] * 3


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_whose_rewards_say_nothing_is_no_update_and_is_counted(name: str) -> None:
    trainer, engine, learner = scripted_trainer(lambda prompt, _: str(prompt.item["want"]), name)
    kl = trainer.algorithm.loss.kl
    penalised = replace(trainer.algorithm, loss=replace(trainer.algorithm.loss, kl=kl and replace(kl, beta=0.1)))
    result = train_step(replace(trainer, algorithm=penalised), Progress(updates=2))
    assert learner.training_batches == []
    assert (result.training_batch, result.outcomes) == (None, ())
    assert result.report.metrics["update_skipped"] == 1
    assert result.report.metrics["updates"] == result.report.metrics["groups/trained"] == 0
    assert result.progress.updates == engine.version == 2


def test_algorithms_without_groups_learn_from_what_differs_between_prompts() -> None:
    def right_for_even_prompts(prompt: Prompt, _: int) -> str:
        want = str(prompt.item["want"])
        return want if int(want) % 2 == 0 else "wrong"

    for name, learns in (("grpo", False), ("reinforce_pp_baseline", False), ("reinforce_pp", True)):
        trainer, _, learner = scripted_trainer(right_for_even_prompts, name)
        train_step(trainer, Progress())
        assert bool(learner.training_batches) == learns


def test_with_one_update_the_old_logprobs_are_the_updates_own() -> None:
    class Estimating(FakeLearner):
        def estimate(self, batch: Batch) -> Estimates:
            return Estimates(old_logprobs=batch.behaviour_logprobs + 0.1, reference_logprobs=None, values=None)

    trainer, _, _ = scripted_trainer(right_when_even)
    for epochs, kept in ((1, False), (2, True)):
        learner = Estimating()
        train_step(replace(trainer, learner=learner, epochs=epochs), Progress())
        assert all(
            (training_batch.estimates.old_logprobs is not None) == kept for training_batch in learner.training_batches
        )


def test_a_step_that_subsamples_keeps_groups_of_little_gradient_by_seed_and_step() -> None:
    whole, _, learner = scripted_trainer(right_when_even, "dr_grpo")
    trainer = replace(whole, subsample=1.0)
    train_step(trainer, Progress())
    assert weights_of(learner) == [[1, 1, 1]]

    trainer = replace(trainer, grader=callable_grader(seldom_worth_much))
    steps = [train_step(trainer, Progress(step=step)) for step in (*range(40), *range(40))]
    weights = weights_of(learner)[1:]
    assert weights[:40] == weights[40:]
    for step, own in zip(steps, weights, strict=True):
        assert set(own) <= {0, 1, 20}  # the chance of a hundredth of the mean is the smallest there is
        assert step.has_signal
        assert step.report.metrics["groups/trained"] == sum(each > 0 for each in own)
    assert 0 < sum(own.count(20) for own in weights[:40]) < 20


def test_a_step_that_does_not_subsample_weighs_no_group() -> None:
    trainer, _, learner = scripted_trainer(right_when_even)
    train_step(trainer, Progress())
    assert learner.training_batches[-1].group_weights is None


def weights_of(learner: FakeLearner) -> list[list[float]]:
    weights = [batch.group_weights for batch in learner.training_batches]
    return [[] if each is None else each.tolist() for each in weights]


def seldom_worth_much(sample: dict[str, Any], item: dict[str, Any]) -> float:
    """A right answer to one prompt of four is worth 1, to the others a hundredth."""
    return float(sample["output_text"] == item["want"]) * (1.0 if item["want"] == "0" else 0.01)
