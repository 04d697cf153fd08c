from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.errors import GraderError
from verifine.graders import Grader, callable_grader
from verifine.insights.held_out import evaluation_numbers, pass_at
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ScriptedEngine, load_tiny_model
from verifine.training.evaluate import EvalSet, eval_sampling, evaluate_policy
from verifine.types import Grade, Prompt, Sample, Sampling

TRAINED = Sampling(group_size=4, max_new_tokens=8, temperature=0.7, stop=("#",), seed=5, step=12)
PROMPTS = [Prompt(id=f"held-out/{i}", token_ids=(5, 6 + i), item={"gt_answer": i}, question="?") for i in range(3)]


def judge(grade: Callable[[str], float | Grade]) -> Grader:
    return callable_grader(lambda sample, _: grade(sample["output_text"]))


def right(text: str) -> Grade:
    return Grade(score=float(text == "yes"), answer_ok=text == "yes", format_ok=True)


def build_eval_set(
    grader: Grader, second: Grader | None = None, *, samples: int = 1, pass_score: float | None = None
) -> EvalSet:
    """The first answer to a prompt is yes, the others no."""
    return EvalSet(
        prompts=PROMPTS,
        engine=ScriptedEngine(lambda _, sample: "yes" if sample == 0 else "no"),
        grader=grader,
        second_grader=second,
        sampling=eval_sampling(TRAINED, samples, None),
        pass_score=pass_score,
    )


def test_one_answer_is_greedy_and_several_are_drawn_as_in_training() -> None:
    greedy = eval_sampling(TRAINED, 1, None)
    assert (greedy.group_size, greedy.temperature, greedy.step, greedy.is_exact) == (1, 0.0, 0, True)
    assert (greedy.max_new_tokens, greedy.stop, greedy.seed) == (8, ("#",), 5)
    several = eval_sampling(TRAINED, 8, None)
    assert (several.group_size, several.temperature, several.step, several.is_exact) == (8, 0.7, 0, True)
    assert eval_sampling(TRAINED, 8, 1.5).temperature == 1.5


def test_every_answer_is_kept_with_its_place_and_its_grades() -> None:
    evaluation = evaluate_policy(build_eval_set(judge(right), samples=2), "step-3")
    assert (evaluation.name, evaluation.temperature) == ("step-3", 0.7)
    assert [(each.prompt_id, each.sample, each.text, each.score) for each in evaluation.samples[:3]] == [
        ("held-out/0", 0, "yes", 1.0),
        ("held-out/0", 1, "no", 0.0),
        ("held-out/1", 0, "yes", 1.0),
    ]
    assert [each.passed for each in evaluation.samples[:2]] == [True, False]
    assert (evaluation.answer_accuracy, pass_at(evaluation, 1), pass_at(evaluation, 2)) == (0.5, 0.5, 1.0)
    assert evaluation.samples[4].gold == "2"


def test_the_parts_of_scores_are_averaged_over_problems() -> None:
    def grade(text: str) -> Grade:
        parts = {"exact": 1.0, "near": 1.0} if text == "yes" else {"near": 0.5}
        return Grade(score=sum(parts.values()) / 2, parts=parts)

    evaluation = evaluate_policy(build_eval_set(judge(grade), samples=4), "baseline")
    assert evaluation.part_averages == {"exact": 1.0, "near": 0.625}
    assert evaluation_numbers(evaluation)["parts"] == evaluation.part_averages


def test_both_graders_judge_the_same_answers_and_neither_sees_the_other() -> None:
    seen: list[list[str]] = [[], []]

    class Remembering:
        def __init__(self, place: int) -> None:
            self._place = place

        def grade(self, samples: Sequence[Sample]) -> list[Grade]:
            seen[self._place] += [sample.output_text for sample in samples]
            return [right(sample.output_text) if self._place == 0 else Grade(score=0.25) for sample in samples]

        def close(self) -> None: ...

    evaluation = evaluate_policy(build_eval_set(Remembering(0), Remembering(1), samples=2), "final")
    assert seen[0] == seen[1] == ["yes", "no"] * 3
    assert (evaluation.reward, evaluation.average("second_score"), evaluation.average("second_answer")) == (
        0.5,
        0.25,
        None,
    )


@pytest.mark.parametrize(
    ("grader", "second", "pass_score", "passed"),
    [
        (right, None, None, [True, False]),
        # a grader that judges answers needs no threshold
        (right, None, 0.0, [True, False]),
        (lambda text: 0.6 if text == "yes" else 0.4, None, 0.6, [True, False]),
        (lambda text: 0.6 if text == "yes" else 0.4, None, None, [None, None]),
        # the second one decides
        (right, lambda text: 0.4 if text == "yes" else 0.6, 0.5, [False, True]),
        (right, lambda text: Grade.unscorable("away"), 0.5, [None, None]),
    ],
)
def test_an_answer_passes_by_the_grader_that_decides(
    grader: Callable[[str], float | Grade],
    second: Callable[[str], float | Grade] | None,
    pass_score: float | None,
    passed: list[bool | None],
) -> None:
    eval_set = build_eval_set(
        judge(grader), None if second is None else judge(second), samples=2, pass_score=pass_score
    )
    assert [each.passed for each in evaluate_policy(eval_set, "final").samples[:2]] == passed


def test_a_second_grader_that_owes_grades_is_told_so() -> None:
    class Short:
        def grade(self, samples: Sequence[Sample]) -> list[Grade]:
            return [Grade(score=1.0)]

        def close(self) -> None: ...

    with pytest.raises(GraderError, match="1 grades for 3 answers"):
        evaluate_policy(build_eval_set(judge(right), Short()), "final")


def test_the_same_weights_give_the_same_answers_whatever_was_sampled_before(tmp_path: Path) -> None:
    engine = NativeEngine(load_tiny_model(tmp_path / "base"))
    eval_set = replace(build_eval_set(judge(lambda text: float(len(text))), samples=3), engine=engine)
    first = evaluate_policy(eval_set, "baseline")
    engine.generate(PROMPTS, replace(TRAINED, step=1))
    again = evaluate_policy(replace(eval_set, prompts=PROMPTS[::-1]), "baseline")
    assert {(each.prompt_id, each.sample): each.text for each in first.samples} == {
        (each.prompt_id, each.sample): each.text for each in again.samples
    }
    assert len({each.text for each in first.samples}) > 3
