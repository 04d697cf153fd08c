from __future__ import annotations

import pytest

from verifine.config.graders import (
    AnswerGraderConfig,
    AnyGrader,
    FormatGraderConfig,
    MultiGraderConfig,
    PythonGraderConfig,
    StringCheckGraderConfig,
    WeightedGraderConfig,
)
from verifine.graders import build_grader
from verifine.graders.probes import (
    NONSENSE,
    Probe,
    ProbeAnswer,
    ProbeResult,
    find_own_answer,
    find_references,
    keep_best,
    plan_attempts,
    write_right_answers,
)
from verifine.types import Example, Grade, Json

ANSWER = AnswerGraderConfig(type="answer", compare="exact")
CODE = PythonGraderConfig(type="python", source="def grade(sample, item): return 1.0")


def check(reference: str) -> StringCheckGraderConfig:
    return StringCheckGraderConfig(
        type="string_check", input="{{ sample.output_text }}", reference=reference, operation="eq"
    )


def row(**item: Json) -> Example:
    return Example(id="7", messages=(), item=item, place="d.jsonl line 7")


def attempt(probe: Probe, way: str = "", row_id: str = "1") -> ProbeAnswer:
    return ProbeAnswer(row=Example(id=row_id, messages=(), item={}), probe=probe, way=way, text="")


def test_the_right_answer_is_written_in_four_ways() -> None:
    ways = write_right_answers(CODE.traits, "42")
    assert list(ways) == ["plain", "<answer>", "<think> <answer>", "\\boxed{}"]
    assert ways["plain"] == "42"
    assert ways["<answer>"] == "<answer>42</answer>"
    assert ways["<think> <answer>"].startswith("<think>")
    assert ways["<think> <answer>"].endswith("</think> <answer>42</answer>")
    assert ways["\\boxed{}"].endswith("\\boxed{42}")


def test_a_grader_with_tags_of_its_own_gets_them_too() -> None:
    assert (
        write_right_answers(AnswerGraderConfig(type="answer", tag="final").traits, "4")["<final>"] == "<final>4</final>"
    )
    shape = FormatGraderConfig(type="format", template="<plan>...</plan><code>...</code>")
    both = WeightedGraderConfig(type="weighted", graders={"a": ANSWER, "b": shape}, weights={"a": 1, "b": 1})
    for grader in (shape, both):
        written = write_right_answers(grader.traits, "4")["<plan> <code>"]
        assert written.endswith("<code>4</code>")
        sample = ProbeAnswer(row=row(), probe=Probe.RIGHT, way="", text=written).sample
        (grade,) = build_grader(shape).grade([sample])
        assert grade.format_ok


@pytest.mark.parametrize(
    ("grader", "expected"),
    [
        (CODE, ["9"]),
        (check("{{ item.gt_answer }}"), ["9"]),
        (check("{{ item.gold[1] }}"), ["b", "9"]),
        (check("yes"), ["yes", "9"]),
        (check("{{ item.missing }}"), ["9"]),
        (check("{{ sample.output_text }}"), ["9"]),
        (
            MultiGraderConfig(
                type="multi", graders={"a": check("{{ item.gold[0] }}"), "b": ANSWER}, calculate_output="a"
            ),
            ["a", "9"],
        ),
    ],
)
def test_right_answers_are_what_the_grader_compares_with_and_gt_answer(grader: AnyGrader, expected: list[str]) -> None:
    assert find_references(grader.traits, {"gt_answer": "9", "gold": ["a", "b"]}) == expected


def test_a_row_without_any_right_answer_has_none() -> None:
    assert find_references(ANSWER.traits, {"question": "?"}) == []


@pytest.mark.parametrize(
    ("item", "field", "expected"),
    [
        ({"output_text": "b"}, None, "b"),
        ({"output_text": "b", "model_sample": "a"}, None, "a"),
        ({"output_text": "b", "mine": ""}, "mine", ""),
        ({"output_text": "b"}, "mine", None),
        ({"model_sample": 3}, None, None),
        ({}, None, None),
    ],
)
def test_a_row_may_bring_its_own_answer(item: dict[str, Json], field: str | None, expected: str | None) -> None:
    assert find_own_answer(item, field) == expected


def test_a_row_is_answered_rightly_or_as_it_says_and_always_with_nothing_and_nonsense() -> None:
    right = [(each.probe, each.text) for each in plan_attempts(ANSWER.traits, row(gt_answer="9"), None)]
    assert [probe for probe, _ in right] == [*[Probe.RIGHT] * 4, Probe.EMPTY, Probe.NONSENSE]
    assert right[-2:] == [(Probe.EMPTY, ""), (Probe.NONSENSE, NONSENSE)]
    own = plan_attempts(ANSWER.traits, row(gt_answer="9", model_sample="eight"), None)
    assert (own[0].probe, own[0].text) == (Probe.OWN, "eight")
    assert [each.probe for each in own] == [Probe.OWN, Probe.EMPTY, Probe.NONSENSE]
    assert [each.probe for each in plan_attempts(ANSWER.traits, row(), None)] == [Probe.EMPTY, Probe.NONSENSE]
    assert own[0].sample.item == {"gt_answer": "9", "model_sample": "eight"}


def test_the_best_way_of_each_row_counts_and_the_first_of_equals() -> None:
    scores = {"plain": None, "<answer>": -1.0, "tie": 0.5, "later": 0.5}
    results = [
        ProbeResult(attempt=attempt(Probe.RIGHT, way), grade=Grade(score=score)) for way, score in scores.items()
    ]
    other = ProbeResult(attempt=attempt(Probe.RIGHT, "plain", "2"), grade=Grade(score=None))
    empty = ProbeResult(attempt=attempt(Probe.EMPTY), grade=Grade(score=2.0))
    assert keep_best([*results, other, empty]) == [results[2], other, empty]


def test_a_negative_score_is_better_than_none() -> None:
    results = [
        ProbeResult(attempt=attempt(Probe.RIGHT, str(score)), grade=Grade(score=score)) for score in (None, -3.0)
    ]
    assert keep_best(results) == [results[1]]
