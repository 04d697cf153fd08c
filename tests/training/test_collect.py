from __future__ import annotations

from dataclasses import replace

import pytest

from verifine.testing.trainers import right_when_even, scripted_trainer
from verifine.training.collect import collect
from verifine.training.step import train_step
from verifine.training.stopwatch import Stopwatch
from verifine.training.trainer import Progress
from verifine.types import Prompt


def test_without_a_filter_every_group_is_kept_and_nothing_is_sampled_again() -> None:
    trainer, engine, _ = scripted_trainer(lambda prompt, _: str(prompt.item["want"]))
    rollouts = collect(trainer, trainer.sampling, Progress(), Stopwatch(trainer.clock)).rollouts
    assert len(engine.calls) == 1
    assert rollouts.keeps.tolist() == [True] * 3
    assert rollouts.kept_groups == rollouts.groups


def test_what_is_sampled_for_nothing_stays_in_the_rollout_batch() -> None:
    def answer(prompt: Prompt, sample: int) -> str:
        want = str(prompt.item["want"])
        return want if int(want) % 2 == 1 else right_when_even(prompt, sample)

    trainer, engine, _ = scripted_trainer(answer, "dapo")
    trainer = replace(trainer, max_resample=6)
    rollouts = collect(trainer, trainer.sampling, Progress(), Stopwatch(trainer.clock)).rollouts
    drawn = [prompt_id for ids, _ in engine.calls for prompt_id in ids]
    assert [group.prompt.id for group in rollouts.groups] == drawn
    assert rollouts.keeps.tolist() == [int(name[1]) % 2 == 0 for name in drawn]
    assert rollouts.rewards.shape == (len(drawn), 4)
    assert all(group.grades for group in rollouts.groups)


def test_dapo_samples_new_prompts_in_place_of_groups_without_signal() -> None:
    # Odd examples are always right; even ones sometimes.
    def answer(prompt: Prompt, sample: int) -> str:
        want = str(prompt.item["want"])
        return want if int(want) % 2 == 1 else right_when_even(prompt, sample)

    trainer, engine, learner = scripted_trainer(answer, "dapo")
    result = train_step(replace(trainer, max_resample=6), Progress())
    drawn = [prompt_id for ids, _ in engine.calls for prompt_id in ids]
    assert len(engine.calls) > 1
    assert len(set(drawn)) == len(drawn)
    (training_batch,) = learner.training_batches
    batch = training_batch.batch
    assert [group.prompt.id for group in batch.groups] == [name for name in drawn if int(name[1]) % 2 == 0]
    assert len(batch.groups) == 3
    metrics = result.report.metrics
    assert metrics["groups/trained"] == 3
    assert metrics["groups/resampled"] == len(drawn) - 3
    assert result.progress.position == len(drawn)
    assert metrics["frac_reward_zero_std"] == pytest.approx((len(drawn) - 3) / len(drawn))


def test_dapo_trains_on_what_it_has_when_the_rounds_are_used_up() -> None:
    trainer, engine, learner = scripted_trainer(lambda prompt, _: str(prompt.item["want"]), "dapo")
    result = train_step(trainer, Progress())
    assert len(engine.calls) == 3
    assert learner.training_batches == []
    assert result.report.metrics["groups/trained"] == 0
    assert result.report.metrics["reward"] == 1


def test_dapo_filters_by_the_graders_scores_not_by_length() -> None:
    # All wrong, of lengths that the soft penalty tells apart.
    trainer, _, learner = scripted_trainer(lambda _, sample: "wrong" + "." * sample, "dapo")
    result = train_step(replace(trainer, max_resample=0), Progress())
    assert learner.training_batches == []
    assert result.rollouts.kept_groups == ()


def test_filtered_prompts_come_back_in_a_later_epoch() -> None:
    trainer, engine, _ = scripted_trainer(lambda prompt, _: str(prompt.item["want"]), "dapo")
    progress = Progress()
    for _ in range(3):
        progress = train_step(trainer, progress).progress
    drawn = [prompt_id for ids, _ in engine.calls for prompt_id in ids]
    assert sorted(drawn[:10]) == [f"e{i}" for i in range(10)]
    assert sorted(drawn[10:20]) == [f"e{i}@1" for i in range(10)]


def test_a_steps_shortfall_is_reported() -> None:
    trainer, _, _ = scripted_trainer(lambda prompt, _: str(prompt.item["want"]), "dapo")
    metrics = train_step(trainer, Progress()).report.metrics
    assert metrics["groups/missing"] == 3
    assert metrics["groups/resampled"] == 6
