from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from verifine.config import build_config
from verifine.config.graders import AnyGrader
from verifine.graders import GradeFunction, Grader, build_grader, callable_grader
from verifine.preflight.grading import GradingFacts, judge_grading
from verifine.preflight.probing import COSTLY_ROWS, ENOUGH_S, PROBED_ROWS, Tried, probe_grader
from verifine.types import Example, Grade, Json, Message, Sample, TokenUsage

OUTPUT, GT = "{{ sample.output_text }}", "{{ item.gt_answer }}"
ASKED = (Message(role="user", content="Answer inside <answer></answer>."),)
RUN = build_config({"data": {"train": "x.jsonl"}, "algorithm": {"name": "dapo"}, "run": {"steps": 10}})
NUMBER: dict[str, Json] = {"type": "answer", "compare": "number"}
JUDGE: dict[str, Json] = {"type": "score_model", "model": "m", "input": [{"role": "user", "content": OUTPUT}]}


class Watching:
    """A grader that remembers what it was asked."""

    def __init__(self, function: GradeFunction) -> None:
        self._inner = callable_grader(function)
        self.samples: list[Sample] = []

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        self.samples += samples
        return self._inner.grade(samples)

    def close(self) -> None: ...


def parse(config: dict[str, Json]) -> AnyGrader:
    grader: AnyGrader = TypeAdapter(AnyGrader).validate_python(config)
    return grader


def rows(count: int, **item: Json) -> list[Example]:
    return [
        Example(id=str(n), messages=ASKED, item={"gt_answer": str(n), **item}, place=f"x.jsonl line {n}")
        for n in range(1, count + 1)
    ]


def tried(
    config: dict[str, Json] | None,
    train: Sequence[Example],
    grader: Grader | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> Tried:
    parsed = None if config is None else parse(config)
    if grader is None:
        assert parsed is not None
        grader = build_grader(parsed)
    return Tried(grader=grader, config=parsed, run=RUN, train=train, held_out=[], clock=clock)


def names(facts: GradingFacts) -> list[str]:
    return [finding.name for finding in judge_grading(facts)]


def test_a_right_answer_is_found_in_the_way_the_grader_wants_it() -> None:
    facts = probe_grader(tried(NUMBER, rows(40)))
    assert facts.right is not None
    assert (facts.right.mean, facts.empty.mean, facts.nonsense.mean) == (1.0, 0.0, 0.0)
    assert (facts.way, facts.rows, facts.kind) == ("<answer>", PROBED_ROWS, "answer")
    assert (facts.incomplete.rows, facts.incomplete.count, facts.disputed.count) == (40, 0, 0)
    assert facts.repetition is not None
    assert facts.repetition.changed == 0
    assert names(facts) == []


def test_every_row_is_looked_at_held_out_ones_too() -> None:
    broken = Example(id="x", messages=(), item={"gt_answer": "three"}, place="eval.jsonl line 9")
    without = Example(id="y", messages=(), item={"answer": "3"}, place="eval.jsonl line 10")
    facts = probe_grader(replace(tried(NUMBER, rows(600)), held_out=[*rows(5), broken, without]))
    assert (facts.incomplete.rows, facts.incomplete.count) == (607, 2)
    assert [
        (fault.place, fault.reason.partition(";")[0].partition(" does")[0]) for fault in facts.incomplete.first
    ] == [
        ("eval.jsonl line 9", 'the reference "three" is not a number'),
        ("eval.jsonl line 10", "item.gt_answer"),
    ]


def test_a_row_whose_right_answer_no_grader_accepts_is_disputed() -> None:
    train = [*rows(20), Example(id="z", messages=(), item={"gt_answer": "7</answer>"}, place="x.jsonl line 21")]
    facts = probe_grader(tried({"type": "answer", "compare": "exact"}, train))
    assert (facts.disputed.rows, facts.disputed.count) == (21, 1)
    assert facts.disputed.first[0].place == "x.jsonl line 21"
    assert names(facts) == ["disputed_rows"]


def test_a_grader_that_any_text_pleases_cannot_tell_right_from_wrong() -> None:
    check: dict[str, Json] = {"type": "string_check", "input": OUTPUT, "reference": "e", "operation": "like"}
    facts = probe_grader(tried(check, rows(20)))
    assert facts.right is not None
    assert (facts.right.mean, facts.nonsense.mean) == (1.0, 1.0)
    assert names(facts) == ["cannot_tell_right"]


@pytest.mark.parametrize(
    "config",
    [
        {"type": "string_check", "input": "{{ item.id }} " + OUTPUT, "reference": GT, "operation": "eq"},
        {
            "type": "weighted",
            "graders": {"answer": NUMBER, "form": {"type": "format", "pattern": "so: <answer>[0-9]+</answer>"}},
            "weights": {"answer": 0.0, "form": 1.0},
        },
        {"type": "multi", "graders": {"answer": NUMBER}, "calculate_output": "1 - answer"},
    ],
    ids=lambda config: config["type"],
)
def test_a_grader_that_may_want_an_answer_written_otherwise_is_only_warned_of(config: dict[str, Json]) -> None:
    facts = probe_grader(tried(config, rows(20, id="row")))
    assert names(facts) == ["right_answer_not_recognised"]


def test_code_of_the_users_own_may_want_something_else() -> None:
    facts = probe_grader(tried(None, rows(20), callable_grader(lambda sample, item: 0.0)))
    assert facts.kind == "a Python program's own"
    assert names(facts) == ["right_answer_not_recognised"]


def test_a_function_is_called_on_few_rows_for_it_may_cost_something() -> None:
    grader = Watching(lambda sample, item: float(sample["output_text"] == item["gt_answer"]))
    facts = probe_grader(tried(None, rows(20), grader))
    assert facts.rows == COSTLY_ROWS
    # Four ways of writing the right answer, empty text and nonsense, all of them twice.
    assert len(grader.samples) == 2 * COSTLY_ROWS * 6
    assert facts.way == "plain"
    assert names(facts) == []


def test_a_judge_is_asked_no_more_than_it_takes() -> None:
    def judge(sample: dict[str, Json], item: dict[str, Json]) -> Grade:
        return Grade(score=0.5, usage={"m": TokenUsage(prompt=90, completion=10)})

    grader = Watching(judge)
    facts = probe_grader(tried(JUDGE, rows(20), grader))
    # The right answer plain, empty text and nonsense, and none of them again: it may remember what it said.
    assert len(grader.samples) == COSTLY_ROWS * 3
    assert facts.repetition is None
    requests = facts.requests
    assert (requests.per_answer, requests.per_step, requests.per_step_at_most) == (1, 64, 256)
    assert (requests.per_run, requests.tokens_per_answer) == (640, 100.0)
    assert "asks_others" in names(facts)


def test_a_judge_is_asked_for_every_answer_of_every_round() -> None:
    policies: dict[str, dict[str, Json]] = {"rounds": {"answers": 10, "rounds": 3}}
    run = build_config({"data": {"task": "add"}, "sampling": {"group_size": 8, **policies}})
    requests = probe_grader(replace(tried(JUDGE, rows(20), Watching(lambda *_: 0.5)), run=run)).requests
    assert (requests.per_step, requests.per_step_at_most) == (8 * 10, 8 * 10 * 3)


def test_templates_of_a_judge_are_filled_in_for_every_row_without_asking_it() -> None:
    config: dict[str, Json] = {**JUDGE, "input": [{"role": "user", "content": f"{{{{ item.rubric }}}} {OUTPUT}"}]}
    grader = Watching(lambda sample, item: 1.0)
    train = [*rows(300, rubric="be kind"), *rows(1)]
    facts = probe_grader(replace(tried(config, train, grader), held_out=rows(2)))
    assert (facts.incomplete.rows, facts.incomplete.count) == (303, 3)
    assert facts.incomplete.first[0].place == "x.jsonl line 1"
    assert len(grader.samples) == COSTLY_ROWS * 3


def test_rows_without_a_right_answer_say_so() -> None:
    train = [Example(id=str(n), messages=(), item={"topic": "x"}) for n in range(5)]
    facts = probe_grader(tried(None, train, callable_grader(lambda sample, item: 1.0)))
    assert facts.right is None
    assert facts.untried == "the rows have no gt_answer, and the grader names no other field"


def test_a_form_has_no_right_answer() -> None:
    facts = probe_grader(tried({"type": "format", "template": "<a>...</a>"}, rows(5)))
    assert (facts.right, facts.untried) == (None, "it looks at the form alone")


def test_chance_in_a_grader_is_seen() -> None:
    ticks = itertools.count()
    facts = probe_grader(tried(None, rows(8), callable_grader(lambda sample, item: 1 / (1 + next(ticks)))))
    assert facts.repetition is not None
    assert facts.repetition.changed == facts.repetition.answers == COSTLY_ROWS * 6
    assert "scores_change" in names(facts)


def test_a_slow_grader_is_tried_on_fewer_rows() -> None:
    moments = itertools.count(step=ENOUGH_S)
    facts = probe_grader(tried(NUMBER, rows(40), clock=lambda: next(moments)))
    # The clock is read at the start, around the first grading of four rows, and after the second: that is too late.
    assert facts.rows == COSTLY_ROWS
    assert facts.seconds_per_answer == pytest.approx(ENOUGH_S / (facts.rows * 6))


def test_a_grader_that_fails_on_everything_is_a_blocker() -> None:
    facts = probe_grader(tried(None, rows(8), callable_grader(lambda sample, item: item["points"])))
    assert names(facts) == ["nothing_scorable"]
    assert facts.every.reasons[0][0] == "KeyError: 'points'"
