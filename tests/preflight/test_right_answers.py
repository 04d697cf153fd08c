"""The check proves a grader right only with an answer that a model would write, and says what the prompts ask for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import TypeAdapter

from verifine.config import build_config
from verifine.config.graders import AnyGrader
from verifine.graders import build_grader
from verifine.graders.probes import names_field
from verifine.insights.findings import Finding
from verifine.preflight.grading import GradingFacts, judge_grading
from verifine.preflight.probing import Tried, probe_grader
from verifine.types import Example, Json, Message

OUTPUT = "{{ sample.output_text }}"
RUN = build_config({"data": {"train": "x.jsonl"}, "run": {"steps": 10}})

HASHES = "There are {0} boxes.\nEach holds 2 pears, so <<{0}*2={1}>>{1} are there.\n#### {1}"
BOXED = "Half of the boxes are empty. That leaves $\\frac{{{0}}}{{1}}$ of them, and so \\boxed{{{1}}} in all."
PROSE = (
    "First we count the boxes, which are {0}.\nThen we add the pears that lie beside them on it,\nand so we are done."
)


def check(question: str, grader: dict[str, Json], *references: str, field: str = "answer") -> GradingFacts:
    rows = [
        Example(id=str(n), messages=(Message(role="user", content=question),), item={field: text}, place=f"line {n}")
        for n, text in enumerate(references, start=1)
    ]
    config: AnyGrader = TypeAdapter(AnyGrader).validate_python(grader)
    built = build_grader(config)
    try:
        return probe_grader(Tried(grader=built, config=config, run=RUN, train=rows, held_out=[], clock=lambda: 0.0))
    finally:
        built.close()


def solutions(form: str) -> Sequence[str]:
    return [form.format(number, 2 * number) for number in range(3, 9)]


def named(facts: GradingFacts) -> dict[str, Finding]:
    return {finding.name: finding for finding in judge_grading(facts)}


REFERENCE = "{{ item.answer }}"
ANSWER: dict[str, Json] = {"type": "answer", "reference": REFERENCE}
NUMBER: dict[str, Json] = {"type": "number", "reference": REFERENCE}
MATH: dict[str, Json] = {"type": "math", "reference": REFERENCE}
EQUAL: dict[str, Json] = {"type": "string_check", "input": OUTPUT, "reference": REFERENCE, "operation": "eq"}
SIMILAR: dict[str, Json] = {
    "type": "text_similarity", "input": OUTPUT, "reference": REFERENCE, "evaluation_metric": "rouge_l",
}  # fmt: skip


@pytest.mark.parametrize("form", [HASHES, BOXED])
@pytest.mark.parametrize(
    "grader", [ANSWER, {**ANSWER, "compare": "number"}, NUMBER, MATH], ids=lambda each: each["type"]
)
def test_a_grader_that_reads_solutions_is_tried_with_the_answer_in_them(form: str, grader: dict[str, Json]) -> None:
    facts = check("Answer inside <answer></answer> or in \\boxed{}.", grader, *solutions(form))
    assert facts.right is not None
    assert facts.right.mean == 1
    assert (facts.unmarked, facts.incomplete.count, facts.disputed.count) == (0, 0, 0)


@pytest.mark.parametrize("form", [HASHES, BOXED])
def test_a_grader_that_wants_the_whole_solution_is_not_proved_right(form: str) -> None:
    facts = check("How many?", EQUAL, *solutions(form))
    assert facts.right is not None
    assert facts.right.mean == 0
    assert "cannot_tell_right" in named(facts)


@pytest.mark.parametrize("grader", [ANSWER, EQUAL], ids=lambda each: each["type"])
def test_a_solution_that_marks_no_answer_is_told_and_proves_nothing(grader: dict[str, Json]) -> None:
    facts = check("How many? Answer inside <answer></answer>.", grader, *solutions(PROSE))
    assert (facts.right, facts.unmarked) == (None, 6)
    assert "unmarked_answers" in named(facts)


def test_likeness_to_a_whole_solution_is_what_likeness_is_for() -> None:
    facts = check("How many?", SIMILAR, *solutions(HASHES))
    assert facts.right is not None
    assert (facts.right.mean, facts.way) == (1, "plain")


def test_a_bare_name_of_a_field_is_no_reference() -> None:
    facts = check("How many?", {**NUMBER, "type": "answer", "reference": "answer"}, "3", "4", "5")
    assert facts.misnamed == ("answer",)
    assert named(facts)["reference_is_a_name"].remedies[0].startswith("Write {{ item.answer }}")
    assert facts.right is None


def test_a_bare_path_is_no_reference_either_and_a_word_is_one() -> None:
    row = Example(id="1", messages=(), item={"reward": {"truth": "yes"}})
    assert names_field("reward.truth", row.item)
    assert not names_field("yes", row.item)
    assert not names_field("{{ item.reward.truth }}", row.item)


@pytest.mark.parametrize(
    ("question", "way", "asked", "is_told"),
    [
        ("3 + 4?", "<answer>", {}, True),
        ("3 + 4? Answer inside <answer></answer>.", "<answer>", {"<answer>": 3}, False),
        ("3 + 4? End with #### and the answer.", "<answer>", {"####": 3}, True),
        ("3 + 4? Put it in \\boxed{}.", "<answer>", {"\\boxed{}": 3}, True),
        ("3 + 4? Answer in JSON.", "<answer>", {"JSON": 3}, True),
    ],
)
def test_what_the_prompts_ask_for_is_told(question: str, way: str, asked: dict[str, int], is_told: bool) -> None:
    facts = check(question, {"type": "answer", "compare": "number"}, "7", "8", "9", field="gt_answer")
    assert (facts.way, facts.asked) == (way, asked)
    finding = named(facts).get("form_not_asked")
    assert (finding is not None) is is_told
    assert finding is None or all(form in finding.evidence for form in asked)


def test_tags_of_ones_own_are_looked_for_in_the_prompts() -> None:
    grader: dict[str, Json] = {"type": "answer", "compare": "number", "tag": "final"}
    told = check("3 + 4? Write <final>...</final>.", grader, "7", "8", field="gt_answer")
    assert (told.way, told.asked, named(told)) == ("<final>", {"<final>": 2}, {})
    assert "form_not_asked" in named(check("3 + 4?", grader, "7", "8", field="gt_answer"))


def test_an_answer_without_any_form_asks_for_nothing() -> None:
    facts = check("3 + 4?", {"type": "number"}, "7", "8", "9", field="gt_answer")
    assert (facts.way, named(facts)) == ("plain", {})
