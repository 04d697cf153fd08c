"""Drawing as many answers as a prompt needs, in a step with scripted answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.algorithms.algorithm import build_algorithm
from verifine.batch import collate
from verifine.config import AlgorithmConfig, RewardConfig
from verifine.data import PromptCounts, PromptHistory
from verifine.graders import callable_grader
from verifine.learner.learner import UpdateOutcome
from verifine.models.chat.prompt import render_prompt
from verifine.models.load import LanguageModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.runs.rollouts import read_rollouts, write_rollouts
from verifine.testing import FakeLearner, ScriptedEngine, load_tiny_model
from verifine.testing.trainers import EXAMPLES, scripted_trainer
from verifine.training.collect import Collection, collect
from verifine.training.graded_groups import graded_groups
from verifine.training.source import PromptSource
from verifine.training.step import train_step
from verifine.training.stopwatch import Stopwatch
from verifine.training.trainer import Allocation, Progress, Rounds, Trainer
from verifine.types import Prompt

POSITIVE = Rounds(answers=4, most=3, rights=1, wrongs=0)
BALANCED = Rounds(answers=4, most=3, rights=2, wrongs=2)

SCRIPTS = {"never": "000000000000", "late": "000000010000", "often": "110100000000", "always": "111111111111"}
"""Whether the answers of each number are right."""


def trainer_of(
    scripts: Mapping[str, str], groups: Rounds | Allocation, algorithm: str = "grpo", pools: bool = True
) -> tuple[Trainer, ScriptedEngine, FakeLearner]:
    """A trainer with a prompt for each script, all of them in a step of groups of four."""

    def answer(prompt: Prompt, sample: int) -> str:
        return "yes" if scripts[prompt.id.partition("@")[0]][sample] == "1" else "nope"

    trainer, engine, learner = scripted_trainer(answer, algorithm)
    examples = [replace(EXAMPLES[0], id=name, item={"want": "yes"}) for name in scripts]
    return (
        replace(
            trainer,
            source=PromptSource(examples, lambda e: Prompt(id=e.id, token_ids=(1, 2), item=e.item), seed=0),
            algorithm=build_algorithm(AlgorithmConfig(name=algorithm), RewardConfig(), pools=pools),
            prompts_per_step=len(scripts),
            groups=groups,
        ),
        engine,
        learner,
    )


def collected(trainer: Trainer, progress: Progress | None = None) -> Collection:
    return collect(trainer, trainer.sampling, Progress() if progress is None else progress, Stopwatch(trainer.clock))


def by_prompt(collection: Collection, values: torch.Tensor) -> dict[str, str]:
    """A row of flags of each prompt, as long as its answers."""
    return {
        group.prompt.id: "".join("01"[flag] for flag in row[: len(group.rollouts)])
        for group, row in zip(collection.rollouts.groups, values.tolist(), strict=True)
    }


def test_only_prompts_without_a_right_answer_are_asked_again_and_their_numbers_go_on() -> None:
    trainer, engine, _ = trainer_of(SCRIPTS, POSITIVE)
    collected(trainer)
    asked = [sorted(ids) for ids, _ in engine.calls]
    assert asked == [sorted(SCRIPTS), ["late", "never"], ["never"]]
    assert engine.samples == [(range(4),) * 4, (range(4, 8),) * 2, (range(8, 12),)]


def test_balanced_groups_ask_for_wrong_answers_too() -> None:
    trainer, engine, _ = trainer_of(SCRIPTS, BALANCED)
    collected(trainer)
    asked = [sorted(ids) for ids, _ in engine.calls]
    assert asked == [sorted(SCRIPTS), sorted(SCRIPTS), ["always", "late", "never"]]
    trainer, engine, _ = trainer_of({"half": "1100" + "0" * 8, "later": "1000" + "1" * 8}, BALANCED)
    collected(trainer)
    assert [sorted(ids) for ids, _ in engine.calls] == [["half", "later"], ["later"]]


def test_a_group_keeps_half_of_each_kind_and_is_filled_from_the_other() -> None:
    trainer, _, _ = trainer_of(SCRIPTS, POSITIVE)
    collection = collected(trainer)
    assert by_prompt(collection, collection.rollouts.chosen) == {
        "never": "111100000000",
        "late": "11100001",
        "often": "1111",
        "always": "1111",
    }


def test_advantages_are_compared_with_everything_that_was_drawn_and_not_scaled() -> None:
    trainer, _, learner = trainer_of(SCRIPTS, POSITIVE)
    result = train_step(trainer, Progress())
    (training_batch,) = learner.training_batches
    rows = dict(
        zip((g.prompt.id for g in training_batch.batch.groups), training_batch.rollout_advantages(), strict=True)
    )
    assert rows["late"][:8].tolist() == pytest.approx([-1 / 8] * 3 + [0] * 4 + [7 / 8])
    assert rows["often"][:4].tolist() == pytest.approx([1 / 4, 1 / 4, -3 / 4, 1 / 4])
    assert rows["never"].tolist() == [0.0] * 12
    assert rows["always"].tolist() == [0.0] * 12
    # 12 answers never, 7 and 1 late, 1 and 3 often, 4 always; `yes` has 3 tokens and `nope` 4.
    assert result.progress.tokens == 4 * (12 + 7 + 1) + 3 * (1 + 3 + 4)
    assert len(training_batch.batch.tokens) == 4 * 4 + (4 * 3 + 3) + (4 + 3 * 3) + 3 * 4


def test_a_step_counts_what_it_drew_and_averages_what_every_prompt_got() -> None:
    trainer, _, _ = trainer_of(SCRIPTS, POSITIVE)
    metrics = train_step(trainer, Progress()).report.metrics
    assert metrics["groups/answers"] == (12 + 8 + 4 + 4) / 4
    assert metrics["groups/answers_max"] == 12
    assert metrics["groups/rounds"] == (3 + 2 + 1 + 1) / 4
    assert metrics["groups/resolved"] == 0.75
    assert metrics["groups/trained"] == 2
    assert metrics["groups/resampled"] == 0
    # The first four answers of each: 0, 0, 3 and 4 are right. The lucky eighth one would hide how hard `late` is.
    assert metrics["reward"] == 7 / 16
    assert metrics["completions/mean_length"] == (9 * 4 + 7 * 3) / 16
    # Of everything that was drawn, two groups are mixed.
    assert metrics["frac_reward_zero_std"] == 0.5


def test_unscorable_answers_are_neither_right_nor_wrong_and_are_all_counted() -> None:
    trainer, engine, _ = trainer_of(SCRIPTS, BALANCED)
    broken = callable_grader(lambda sample, _: 1 / 0 if sample["output_text"] == "nope" else 1.0)
    result = train_step(replace(trainer, grader=broken), Progress())
    assert [len(ids) for ids, _ in engine.calls] == [4, 4, 4], "no wrong answer is ever found"
    assert result.report.metrics["unscorable"] == 12 + 11 + 9
    assert result.rollouts.chosen.sum() == 0 + 1 + 3 + 4


def test_a_filter_that_samples_other_prompts_looks_at_the_pool() -> None:
    scripts = {"never": "0" * 12, "late": "000000010000", "often": "110100000000", "always": "1" * 12}
    trainer, _, learner = trainer_of(scripts, POSITIVE, "dapo")
    trainer = replace(trainer, prompts_per_step=2, max_resample=3)
    result = train_step(trainer, Progress())
    (training_batch,) = learner.training_batches
    assert sorted(group.prompt.id for group in training_batch.batch.groups) == ["late", "often"]
    assert result.progress.position == len(result.rollouts.groups)
    assert result.report.metrics["groups/missing"] == 0


def test_groups_of_several_samplings_may_have_pools_of_different_sizes() -> None:
    trainer, _, _ = trainer_of({"a": "1" * 12, "b": "0" * 12, "c": "0001" + "0" * 8}, POSITIVE, "dapo")
    rollouts = collected(replace(trainer, prompts_per_step=1, max_resample=2)).rollouts
    sizes = [len(group.rollouts) for group in rollouts.groups]
    assert rollouts.valid.sum(dim=1).tolist() == sizes
    assert rollouts.lengths().count_nonzero(dim=1).tolist() == sizes
    assert rollouts.tokens == sum(len(rollout.token_ids) for group in rollouts.groups for rollout in group.rollouts)
    batch = collate(rollouts, 8)
    assert [group.prompt.id for group in batch.groups] == ["c"]
    assert batch.valid.sum() == 4
    assert batch.drawn_means.tolist() == [0.25]


def test_what_was_drawn_and_not_kept_is_written_and_marked(tmp_path: Path) -> None:
    trainer, _, _ = trainer_of(SCRIPTS, POSITIVE)
    result = train_step(trainer, Progress())
    records = read_rollouts(write_rollouts(tmp_path, 1, graded_groups(result, lambda _: "?", None)))
    assert len(records) == 12 + 8 + 4 + 4
    late = [record for record in records if record.prompt_id == "late"]
    assert [record.sample for record in late] == list(range(8))
    assert [record.chosen for record in late] == [True] * 3 + [False] * 4 + [True]
    assert [record.score for record in late] == [0.0] * 7 + [1.0]
    assert [record.advantage for record in late] == pytest.approx([-1 / 8] * 3 + [0.0] * 4 + [7 / 8])
    assert all(record.chosen for record in records if record.prompt_id in ("often", "always"))


def test_a_wrong_format_is_not_right_where_it_earns_nothing() -> None:
    trainer, engine, _ = trainer_of({"often": "1111" + "0" * 8}, POSITIVE)
    graded = collected(trainer).rollouts
    unformatted = replace(
        graded,
        groups=tuple(
            group.graded([replace(grade, format_ok=False) for grade in group.grades]) for group in graded.groups
        ),
    )
    gated = build_algorithm(AlgorithmConfig(), RewardConfig(format_gate=True), pools=True)
    assert trainer.algorithm.right(unformatted, 0.9).sum() == 4
    assert gated.right(unformatted, 0.9).sum() == 0
    assert gated.right(graded, 0.9).sum() == 4
    assert len(engine.calls) == 1


def test_the_score_that_passes_says_what_is_right() -> None:
    trainer, engine, _ = trainer_of({"often": "1" * 12}, POSITIVE)
    part = callable_grader(lambda sample, _: 0.5)
    collected(replace(trainer, grader=part))
    assert len(engine.calls) == 3
    collected(replace(trainer, grader=part, pass_score=0.5))
    assert len(engine.calls) == 4


def test_hard_prompts_get_more_answers_and_every_answer_is_trained_on() -> None:
    scripts = {"hard": "0" * 16, "easy": "1" * 16, "new": "10" * 8}
    trainer, engine, _ = trainer_of(scripts, Allocation(least=2, most=16))
    history = PromptHistory().note([("hard", PromptCounts(wrong=40)), ("easy", PromptCounts(right=40))])
    collection = collected(trainer, Progress(history=history))
    (numbers,) = engine.samples
    counts = dict(zip(engine.calls[0][0], map(len, numbers), strict=True))
    assert sum(counts.values()) == 12
    assert counts["hard"] > counts["new"] >= counts["easy"] >= 2
    assert collection.rollouts.chosen.sum() == 12
    assert collection.metrics["groups/answers"] == 4
    assert collection.metrics["groups/answers_max"] == counts["hard"]

    batch = collate(collection.rollouts, 8)
    place = [group.prompt.id for group in batch.groups].index("new")
    right = [int(digit) for digit in scripts["new"][: counts["new"]]]
    rate = sum(right) / len(right)
    scale = 1 / (rate + 0.01) ** 0.5
    row = trainer.algorithm.advantages(batch, trainer.learner.estimate(batch)).advantages
    first = {sample: (batch.row == place * batch.group_size + sample).nonzero()[0, 0] for sample in range(len(right))}
    assert [row[first[sample]].item() for sample in first] == pytest.approx([(r - rate) * scale for r in right])


def test_the_history_has_what_was_drawn() -> None:
    trainer, _, _ = trainer_of({"a": "1101", "b": "0000"}, Allocation(least=4, most=4))
    history = collected(trainer).history
    assert history.counts == {"a": PromptCounts(right=3, wrong=1), "b": PromptCounts(right=0, wrong=4)}
    assert collected(trainer, Progress(position=2, history=history)).history.of("a") == PromptCounts(
        right=0.8 * 3 + 3, wrong=0.8 + 1
    )


def test_nothing_is_remembered_where_nothing_is_decided_by_it() -> None:
    trainer, _, _ = trainer_of(SCRIPTS, POSITIVE)
    assert train_step(trainer, Progress()).progress.history == PromptHistory()


def test_prompts_that_are_left_out_are_counted_by_what_they_are() -> None:
    trainer, engine, _ = trainer_of(SCRIPTS, POSITIVE)
    examples = [replace(EXAMPLES[0], id=name, item={"want": "yes"}) for name in SCRIPTS]
    source = PromptSource(
        examples,
        lambda e: Prompt(id=e.id, token_ids=(1, 2), item=e.item),
        seed=0,
        chance=lambda known: 1.0 if bool(known.right) == bool(known.wrong) else 0.0,
    )
    trainer = replace(trainer, source=source, prompts_per_step=2)
    history = PromptHistory().note([("always", PromptCounts(right=8)), ("never", PromptCounts(wrong=8))])
    result = train_step(trainer, Progress(history=history))
    assert sorted(engine.calls[0][0]) == ["late", "often"]
    metrics = result.report.metrics
    assert metrics["prompts/skipped_right"] + metrics["prompts/skipped_wrong"] == result.progress.position - 2
    assert metrics["prompts/known"] == 0.0
    assert set(result.progress.history.counts) == set(SCRIPTS)
    progress, later = result.progress, []
    for _ in range(4):
        result = train_step(trainer, progress)
        progress = result.progress
        later.append(result.report.metrics)
    assert [each["prompts/known"] for each in later] == [1.0] * 4
    # Positions are those of whole epochs of four, in each of which one prompt is always right and one never.
    skipped = [sum(each[f"prompts/skipped_{kind}"] for each in [metrics, *later]) for kind in ("right", "wrong")]
    assert sum(skipped) == progress.position - 10
    assert abs(skipped[0] - skipped[1]) <= 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("is_static", [False, True])
def test_answers_of_later_rounds_do_not_depend_on_what_else_is_asked(model: LanguageModel, is_static: bool) -> None:
    """They are those of one large group, whichever other prompts are still open."""
    engine = NativeEngine(model, is_static=is_static)
    trainer, _, _ = scripted_trainer(lambda *_: "")
    grader = callable_grader(lambda sample, _: float(sum(map(ord, sample["output_text"])) % 7 == 0))
    trainer = replace(
        trainer,
        source=PromptSource(EXAMPLES, lambda example: render_prompt(model, example, 8), seed=0),
        engine=engine,
        grader=grader,
        algorithm=build_algorithm(AlgorithmConfig(), RewardConfig(), pools=True),
        groups=POSITIVE,
        prompts_per_step=10,
    )
    whole = engine.generate(trainer.source.draw(0, 10), replace(trainer.sampling, group_size=12))
    rollouts = collected(trainer).rollouts
    sizes = [len(group.rollouts) for group in rollouts.groups]
    assert len(set(sizes)) > 1, "some prompts are open for longer"
    for group, every in zip(rollouts.groups, whole, strict=True):
        assert [r.token_ids for r in group.rollouts] == [r.token_ids for r in every.rollouts[: len(group.rollouts)]]
    alone = collected(replace(trainer, prompts_per_step=1), Progress(position=max(range(10), key=sizes.__getitem__)))
    assert len(alone.rollouts.groups[0].rollouts) == max(sizes)


def test_a_step_without_a_mixed_pool_teaches_nothing() -> None:
    trainer, _, learner = trainer_of({"a": "0" * 12, "b": "1" * 12}, BALANCED)
    result = train_step(trainer, Progress())
    assert learner.training_batches == []
    assert result.outcomes == ()
    assert UpdateOutcome.APPLIED not in result.outcomes
