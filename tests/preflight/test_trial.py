from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.algorithms.algorithm import build_algorithm, default_algorithm
from verifine.config import AlgorithmConfig, RewardConfig, build_config
from verifine.graders import callable_grader
from verifine.models.chat.prompt import render_prompt
from verifine.models.load import LanguageModel
from verifine.models.policy import ModelPolicy
from verifine.preflight.trial import Asked, ask, measure, observe, work_of
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import FakeLearner, ScriptedEngine, load_tiny_model
from verifine.training.source import PromptSource
from verifine.training.trainer import Trainer
from verifine.types import Example, FinishReason, Grade, Group, Message, Prompt, Rollout, Sampling

EXAMPLES = [
    Example(id=f"e{n}", messages=(Message(role="user", content=f"Say {n}"),), item={"gt_answer": str(n)})
    for n in range(10)
]


def make_trainer(
    answer: Callable[[Prompt, int], str] = lambda prompt, sample: str(prompt.item["gt_answer"] if sample % 2 else "NO"),
    algorithm: str = "grpo",
) -> tuple[Trainer, ScriptedEngine]:
    engine = ScriptedEngine(answer)
    ticks = itertools.count()
    trainer = Trainer(
        source=PromptSource(EXAMPLES, lambda e: Prompt(id=e.id, token_ids=(1, 2), item=e.item, question="Q"), seed=0),
        engine=engine,
        grader=callable_grader(lambda sample, item: float(sample["output_text"] == item["gt_answer"])),
        algorithm=default_algorithm(algorithm),
        learner=FakeLearner(),
        canary=None,
        sampling=Sampling(group_size=4, max_new_tokens=8, seed=0),
        prompts_per_step=3,
        max_resample=2,
        epochs=2,
        mini_batches=1,
        clock=lambda: float(next(ticks)),
    )
    return trainer, engine


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_the_check_asks_under_keys_of_its_own() -> None:
    trainer, engine = make_trainer()
    asked = ask(trainer, rows=5, samples=2)
    expected = [f"check/{prompt.id}" for prompt in trainer.source.draw(0, 5)]
    # As many at a time as in a step.
    assert [list(ids) for ids, _ in engine.calls] == [expected[:3], expected[3:]]
    assert all((sampling.step, sampling.group_size) == (0, 2) for _, sampling in engine.calls)
    assert [len(group.grades) for group in asked.groups] == [2] * 5
    assert (asked.sampling_s, asked.grading_s) == (1.0, 1.0)


def test_the_same_prompt_is_answered_otherwise_in_the_check_and_in_training(model: LanguageModel) -> None:
    trainer, _ = make_trainer()
    trainer = replace(
        trainer,
        source=PromptSource(EXAMPLES, lambda example: render_prompt(model, example, 8), seed=0),
        engine=NativeEngine(model),
    )
    asked = ask(trainer, rows=3, samples=4)
    trained = trainer.engine.generate(trainer.source.draw(0, 3), replace(trainer.sampling, step=1))
    again = trainer.engine.generate(trainer.source.draw(0, 3), replace(trainer.sampling, step=1))
    assert [group.rollouts for group in again] == [group.rollouts for group in trained]
    texts = [[rollout.text for rollout in group.rollouts] for group in asked.groups]
    assert texts != [[rollout.text for rollout in group.rollouts] for group in trained]


def group(name: str, answers: list[tuple[str, Grade]], *, limit: int = 8) -> Group:
    prompt = Prompt(id=name, token_ids=(1,), item={}, question=f"What is {name}?")
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            token_ids=(5,) * max(len(text), 1),
            behaviour_logprobs=(-1.0,) * max(len(text), 1),
            text=text,
            finish_reason=FinishReason.LENGTH if len(text) >= limit else FinishReason.STOP,
        )
        for text, _ in answers
    )
    return Group(prompt=prompt, rollouts=rollouts, grades=tuple(grade for _, grade in answers))


RIGHT, WRONG = Grade(score=1.0, answer_ok=True), Grade(score=0.0, answer_ok=False)
BROKEN = Grade.unscorable("away")
GROUPS = [
    group("a", [("7", RIGHT), ("7", RIGHT), ("12345678", WRONG), ("1", WRONG)]),
    group("b", [("1", WRONG), ("2", WRONG), ("3", WRONG), ("4", BROKEN)]),
    group("c", [("1", BROKEN)] * 4),
]


def test_what_is_observed_of_answers() -> None:
    facts = observe(GROUPS, default_algorithm("grpo"), max_new_tokens=8)
    assert (facts.prompts, facts.samples, facts.answers) == (3, 4, 12)
    assert facts.prompt_rates == (0.5, 0.0)
    assert (facts.groups_with_signal, facts.has_signal) == (1, True)
    assert facts.truncated == pytest.approx(1 / 12)
    assert facts.mean_tokens == pytest.approx((1 + 1 + 8 + 1 + 8 * 1) / 12)
    assert facts.different_texts == pytest.approx((3 / 4 + 1 + 1 / 4) / 3)
    assert (len(facts.scores.scored), facts.scores.unscorable) == (7, 5)
    assert facts.judges_answers
    shown = [(answer.prompt, answer.text, answer.score) for answer in facts.shown]
    assert shown == [("What is a?", "7", 1.0), ("What is b?", "3", 0.0)]
    assert observe(GROUPS[2:], default_algorithm("grpo"), 8).shown[0].score is None


def test_where_no_answer_is_judged_the_mean_score_is_the_rate() -> None:
    facts = observe([group("a", [("x", Grade(score=0.25)), ("y", Grade(score=0.75))])], default_algorithm("grpo"), 8)
    assert facts.prompt_rates == (0.5,)
    assert not facts.judges_answers


def test_a_group_that_differs_in_length_alone_has_no_signal_for_dapo() -> None:
    groups = [group("a", [("1", WRONG), ("12345678", WRONG)])]
    assert observe(groups, default_algorithm("dapo"), max_new_tokens=8).groups_with_signal == 0


def test_rewards_are_shaped_before_signal_is_counted() -> None:
    plain, penalised = default_algorithm("grpo"), replace(default_algorithm("grpo"), overlong_share=0.5)
    groups = [group("a", [("1", WRONG), ("12345678", WRONG)])]
    assert observe(groups, plain, max_new_tokens=8).groups_with_signal == 0
    assert observe(groups, penalised, max_new_tokens=8).groups_with_signal == 1
    gated = replace(plain, gates_format=True)
    grades = [("1", Grade(score=0.5, format_ok=False)), ("2", Grade(score=0.0, format_ok=False))]
    assert observe([group("a", grades)], gated, max_new_tokens=8).groups_with_signal == 0


def test_an_algorithm_without_groups_has_signal_across_them() -> None:
    groups = [group("a", [("1", WRONG)] * 2), group("b", [("1", RIGHT)] * 2)]
    assert not observe(groups, default_algorithm("grpo"), 8).has_signal
    facts = observe(groups, default_algorithm("reinforce_pp"), 8)
    assert (facts.groups_with_signal, facts.has_signal) == (0, True)


def test_reading_a_part_is_scaled_to_all_groups(model: LanguageModel, tmp_path: Path) -> None:
    trainer, _ = make_trainer()
    asked = ask(trainer, rows=6, samples=4)
    facts = observe(asked.groups, trainer.algorithm, 8)
    whole = measure(asked, facts, trainer, ModelPolicy(model), micro_batch_tokens=10_000)
    # The clock ticks once a reading, so one pass over a micro-batch takes a second, however large it is. A step has
    # three of the six prompts.
    assert whole.forward_s == 0.5
    parts = measure(asked, facts, trainer, ModelPolicy(model), micro_batch_tokens=1)
    # A rollout each: 12 of two tokens and 12 of three, 60 in all. The largest comes first and takes a second.
    assert parts.forward_s == 0.5 * 60 / 3
    assert (whole.groups, whole.answers, whole.signal_share) == (3, 12, 1.0)
    assert (whole.sampling_s, whole.grading_s) == (0.5, 0.5)


def test_fewer_prompts_than_a_step_has_are_measured_as_they_are(model: LanguageModel) -> None:
    trainer, _ = make_trainer()
    asked = ask(trainer, rows=2, samples=4)
    timings = measure(
        asked, observe(asked.groups, trainer.algorithm, 8), trainer, ModelPolicy(model), micro_batch_tokens=10_000
    )
    assert (timings.groups, timings.answers, timings.sampling_s, timings.forward_s) == (2, 8, 1.0, 1.0)


@pytest.mark.parametrize(("algorithm", "share"), [("grpo", 0.0), ("reinforce_pp", 1.0)])
def test_groups_without_signal_are_spared_only_where_groups_are_compared(
    algorithm: str, share: float, model: LanguageModel
) -> None:
    trainer, _ = make_trainer(algorithm=algorithm)
    # All answers to the first prompt are right, and none to the second.
    groups = (group("a", [("7", RIGHT)] * 4), group("b", [("1", WRONG)] * 4))
    asked = Asked(groups=groups, sampling_s=1.0, grading_s=1.0)
    facts = observe(groups, trainer.algorithm, 8)
    assert measure(asked, facts, trainer, ModelPolicy(model), micro_batch_tokens=10_000).signal_share == share


def test_all_groups_cost_time_where_the_whole_step_is_compared(model: LanguageModel) -> None:
    trainer, _ = make_trainer()
    algorithm = build_algorithm(AlgorithmConfig(), RewardConfig(scaling="batch", batch_baseline=1.0))
    groups = (group("a", [("7", RIGHT)] * 4), group("b", [("1", WRONG)] * 4))
    facts = observe(groups, algorithm, 8)
    assert (facts.groups_with_signal, facts.has_signal) == (0, True)
    asked = Asked(groups=groups, sampling_s=1.0, grading_s=1.0)
    timings = measure(asked, facts, replace(trainer, algorithm=algorithm), ModelPolicy(model), 10_000)
    assert timings.signal_share == 1.0


def test_where_nothing_could_be_scored_nothing_is_read(model: LanguageModel) -> None:
    trainer, _ = make_trainer()
    broken = replace(trainer, grader=callable_grader(lambda sample, item: 1 / 0))
    asked = ask(broken, rows=2, samples=2)
    assert measure(asked, observe(asked.groups, broken.algorithm, 8), broken, ModelPolicy(model), 100).forward_s == 0.0


@pytest.mark.parametrize(
    ("section", "rounds", "estimates", "updates", "is_saving"),
    [
        ({"name": "grpo"}, 1, 0, 2, True),
        ({"name": "dapo"}, 3, 0, 2, True),
        ({"name": "grpo", "mini_batches": 2}, 1, 1, 2, True),
        ({"name": "grpo", "beta": 0.1}, 1, 1, 2, False),
        ({"name": "rloo", "beta": 0.1}, 1, 2, 2, True),
        ({"name": "ppo", "critic": {"kind": "model"}}, 1, 1, 4, False),
    ],
    ids=str,
)
def test_a_steps_work_follows_from_the_algorithm(
    section: dict[str, object], rounds: int, estimates: int, updates: int, is_saving: bool
) -> None:
    from verifine.algorithms.algorithm import build_algorithm

    config = build_config({"data": {"task": "add"}, "algorithm": section})
    trainer, _ = make_trainer()
    trainer = replace(trainer, algorithm=build_algorithm(config.algorithm, config.reward))
    work = work_of(trainer, config.algorithm)
    assert (work.rounds, work.estimates, work.updates, work.is_saving) == (rounds, estimates, updates, is_saving)
