"""The table is worked by hand from how the reward types are described: tenths of a score, format, answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifine.config.graders import REWARD_TYPES, MathGraderConfig
from verifine.graders.equivalence import MAX_CHARACTERS, AnswerPair, MathComparison, MathVerdict, unanswered
from verifine.graders.math import MathGrader
from verifine.graders.sandbox import CallFault, Outcome
from verifine.graders.services import Services
from verifine.types import Grade, GradeFault, Json, Sample

Expected = tuple[int, bool, bool]
FULL, HALF, WRONG, UNFORMED = (10, True, True), (5, True, True), (0, True, False), (0, False, False)


@pytest.fixture(scope="module")
def boxed() -> Iterator[MathGrader]:
    yield from _opened("boxed")


@pytest.fixture(scope="module")
def tagged() -> Iterator[MathGrader]:
    yield from _opened("think_answer_tags")


def _opened(name: str) -> Iterator[MathGrader]:
    config = REWARD_TYPES[name].grader
    assert isinstance(config, MathGraderConfig)
    grader = MathGrader(config, Services())
    yield grader
    grader.close()


def box(answer: str) -> str:
    return rf"We see that it is \boxed{{{answer}}}."


def tags(answer: str) -> str:
    return f"<think>We see.</think>\n<answer>{answer}</answer>"


def judged(grader: MathGrader, *pairs: tuple[str, Json]) -> list[Grade]:
    return grader.grade([Sample(output_text=text, item={"gt_answer": reference}) for text, reference in pairs])


def summary(grade: Grade) -> tuple[float | None, bool | None, bool | None]:
    return (None if grade.score is None else grade.score * 10), grade.format_ok, grade.answer_ok


FORMATS: list[tuple[str, Expected]] = [
    ("<think>t</think><answer>5</answer>", FULL),
    ("First: <think>t</think>\nso\n<answer> 5 </answer>\n", FULL),
    ("<think></think><answer>5</answer>", FULL),
    (r"<think>t</think><answer>$\boxed{5}$</answer>", FULL),
    ("<think>t</think><answer>4</answer>", WRONG),
    ("<think>t</think><answer></answer>", WRONG),
    ("<think>t</think><answer>It is 5</answer>", WRONG),
    (r"<think>t</think><answer>4</answer> \boxed{5}", UNFORMED),
    ("<answer>5</answer>", UNFORMED),
    ("<think>t</think>5", UNFORMED),
    ("<think>t</think><answer>5</answer>.", UNFORMED),
    ("<think>t</think><answer>5", UNFORMED),
    ("<think>t<answer>5</answer></think>", UNFORMED),
    ("<answer>5</answer><think>t</think>", UNFORMED),
    ("<think>t</think><answer>4</answer><answer>5</answer>", UNFORMED),
    ("<think>t</think><think>t</think><answer>5</answer>", UNFORMED),
    ("<think>The <answer> is</think><answer>5</answer>", UNFORMED),
    ("<THINK>t</THINK><ANSWER>5</ANSWER>", UNFORMED),
    ("", UNFORMED),
]


def test_the_format_of_think_answer_tags(tagged: MathGrader) -> None:
    grades = judged(tagged, *((text, "5") for text, _ in FORMATS))
    found = {text: summary(grade) for (text, _), grade in zip(FORMATS, grades, strict=True)}
    assert found == dict(FORMATS)


BOXES: list[tuple[str, Expected]] = [
    (r"\boxed{5}", FULL),
    (r"\boxed{4} no: \boxed{5} I am sure", FULL),
    (r"\boxed{\boxed{5}}", FULL),
    (r"$$\boxed{5}$$", FULL),
    (r"\boxed{5} or \boxed{4}", WRONG),
    (r"\boxed{}", WRONG),
    (r"\boxed{4}\boxed{5", UNFORMED),
    (r"\boxed{5", UNFORMED),
    ("5", UNFORMED),
    (r"\fbox{5}", UNFORMED),
]


def test_the_format_of_boxed(boxed: MathGrader) -> None:
    grades = judged(boxed, *((text, "5") for text, _ in BOXES))
    found = {text: summary(grade) for (text, _), grade in zip(BOXES, grades, strict=True)}
    assert found == dict(BOXES)


ANSWERS: list[tuple[str, str, Expected]] = [
    # numbers
    ("0.5", r"\frac{1}{2}", FULL),
    (r"\dfrac12", "0.5", FULL),
    (r"1\frac{1}{2}", "3/2", FULL),
    ("1,000", "1000", FULL),
    (r"1{,}000", "1000", FULL),
    (r"3 \times 10^5", "300000", FULL),
    ("\u22125", "-5", FULL),
    ("0.333333", "1/3", FULL),
    ("0.33", "1/3", WRONG),
    ("-5", "5", WRONG),
    ("1,2", "12", WRONG),
    ("1 2", "12", WRONG),
    ("1 2", "3", WRONG),  # algebra would add them
    ("1_000", "1", WRONG),  # algebra would not look at the index
    ("\u0665", "5", WRONG),  # an Arabic 5
    ("\u00b2", "2", WRONG),
    # dress
    ("$5$", "5", FULL),
    (r"\$5", "5", FULL),
    (r"\text{5}", "5", FULL),
    ("x = 5", "5", FULL),
    ("5.", "5", FULL),
    (r"5 \text{ cm}", "5", FULL),
    (r"50\%", "50", FULL),
    (r"30^\circ", "30", FULL),
    # work left undone
    ("1+1", "2", WRONG),
    (r"\sqrt{4}", "2", WRONG),
    ("2^3", "8", WRONG),
    ("10/2", "5", WRONG),
    ("12!", "479001600", WRONG),
    (r"\sum_{i=1}^{100} i", "5050", WRONG),
    ("(1, 1+1)", "(1, 2)", WRONG),
    # several answers at once
    ("4 or 5", "5", WRONG),
    (r"4 \text{ or } 5", "5", WRONG),
    ("4, 5", "5", WRONG),
    (r"\pm 5", "5", WRONG),
    ("4 or $5$", "5", WRONG),
    # formulas
    (r"\sqrt{8}", r"2\sqrt{2}", FULL),
    ("1 + x^2", "x^{2}+1", FULL),
    (r"\frac{\pi}{2}", r"\pi/2", FULL),
    ("x^2", "x^3", WRONG),
    ("-x", "x", WRONG),
    ("10\u221a3", r"10\sqrt{3}", FULL),
    ("1+\u221a3", r"1+\sqrt{2}", WRONG),
    ("x\u00b2-1", "x^2-1", FULL),
    ("x\u00b3-1", "x^2-1", WRONG),
    ("3\u00b2", "9", WRONG),
    ("x**10", "x^{10}", FULL),
    ("x*10", "x^{10}", WRONG),
    ("6 pi", r"6\pi", FULL),
    ("6 pie", r"6\pi", WRONG),
    ("ln 2", r"\ln 2", FULL),
    (r"\log_e 2", r"\ln 2", FULL),
    (r"\log_2 3", "1.584963", FULL),
    (r"\log_2 3", "1.584961", WRONG),
    (r"\log_2 128", "7", WRONG),
    ("ln 3", r"\ln 2", WRONG),
    (r"0.\overline{3}", "1/3", FULL),
    ("1/3", r"0.\overline{3}", FULL),
    (r"0.\overline{3}", "0.3", WRONG),
    (r"0.\overline{6}", "1/3", WRONG),
    (r"\varnothing", r"\emptyset", FULL),
    ("\u221e", r"\infty", FULL),
    ("-\u221e", r"\infty", WRONG),
    (r"90\degree", "90", FULL),
    (r"\textcolor{red}{5}", "5", FULL),
    (r"\textcolor{red}{6}", "5", WRONG),
    (r"\phantom{5}", "5", WRONG),
    # units
    (r"5\text{ hrs}", r"5\text{ hours}", FULL),
    (r"5\text{ min}", r"5\text{ hours}", WRONG),
    ("5", "$5$ cm", FULL),
    (r"5\text{ cm}^2", "$5$ cm$^2$", FULL),
    ("6", "$5$ cm", WRONG),
    # sets, intervals, tuples, matrices
    (r"\{2, 1\}", r"\{1, 2\}", FULL),
    (r"\{2, 3\}", r"\{1, 2\}", WRONG),
    ("[1, 2)", "[1,2)", FULL),
    ("[1, 2]", "[1, 2)", WRONG),
    (r"(-\infty, 3]", r"\left(-\infty, 3\right]", FULL),
    ("(2, 1)", "(1, 2)", WRONG),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", FULL),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 5 \end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", WRONG),
    # words
    ("Paris", "Paris", FULL),
    (r"\text{Paris}", "Paris", FULL),
    ("siraP", "Paris", WRONG),  # for algebra, the same product of letters
    ("on", "no", WRONG),
    ("5", "five", WRONG),
    ("five", "5", WRONG),
]


@pytest.mark.slow
def test_answers_in_a_box(boxed: MathGrader) -> None:
    grades = judged(boxed, *((box(answer), reference) for answer, reference, _ in ANSWERS))
    found = {(answer, reference): summary(grade) for (answer, reference, _), grade in zip(ANSWERS, grades, strict=True)}
    assert found == {(answer, reference): expected for answer, reference, expected in ANSWERS}


@pytest.mark.slow
def test_the_same_answers_in_tags(tagged: MathGrader) -> None:
    grades = judged(tagged, *((tags(answer), reference) for answer, reference, _ in ANSWERS))
    assert [summary(grade) for grade in grades] == [expected for *_, expected in ANSWERS]


def test_an_equal_text_that_is_no_mathematics_earns_half_where_the_reference_is_some(tagged: MathGrader) -> None:
    broken = tags(r"\frac{1}{2")
    grades = judged(tagged, (broken, r"\frac{1}{2}"), (broken, r"\frac{1}{3}"), (tags(r"\frac{12}{3"), r"\frac{1}{23}"))
    assert [summary(grade) for grade in grades] == [HALF, WRONG, WRONG]


def test_a_reference_that_is_no_mathematics_is_compared_as_text(tagged: MathGrader) -> None:
    reference = r"\frac{1}{2"
    grades = judged(
        tagged, (tags(r"\frac{1}{2 "), reference), (tags(r"\frac{1}{3"), reference), (tags("0.5"), reference)
    )
    assert [summary(grade) for grade in grades] == [FULL, WRONG, WRONG]


HOSTILE = [
    "9^{9^{9^{9}}}",
    "x^" * 200 + "2",
    "7**10**8",
    "(" * 1500 + "5" + ")" * 1500,
    "{" * 1500 + "4" + "}" * 1500,
    "(" * 3000,
    "+".join(["1"] * 2000),
    "\\" * 4000,
    "$" * 4000,
    " ".join("5" * 2000),
    r"\frac" * 800,
    r"\sqrt(" * 800,
    "(2)" * 1000,
    ",".join("5" * 2000),
    "x=" * 1500 + "5",
    "0." + "1" * 3000,
    "1e999999999",
    "10^{10^{10}}",
    r"\frac{1}{2^{10^{10}}}",
    "5" + " " * 4000 + "x",
    "12345678" * 500,
]


@pytest.mark.slow
def test_hostile_answers_are_wrong_and_do_not_affect_others() -> None:
    grader = MathGrader(MathGraderConfig(type="math", answer_in="answer", timeout_s=3.0), Services())
    texts = [f"<answer>{answer}</answer>" for answer in (*HOSTILE, "x = 5")]
    try:
        *hostile, honest = judged(grader, *((text, "5") for text in texts))
    finally:
        grader.close()
    assert [grade.score for grade in hostile] == [0.0] * len(HOSTILE)
    assert honest.score == 1.0
    assert hostile[0].reason == "timed out after 3 s"
    assert hostile[0].faults == {GradeFault.UNRESPONSIVE_REWARD}
    assert hostile[0].seconds >= 3.0
    assert honest.faults == frozenset()


def test_what_is_very_long_is_not_compared(boxed: MathGrader) -> None:
    long = "x" * (MAX_CHARACTERS + 1)
    too_long, same, far_too_long = judged(
        boxed, (box(long), "x"), (box(long), long), (box("1+" * 100_000 + "1"), "100001")
    )
    assert (too_long.score, too_long.reason) == (0.0, "the answer has more than 4096 characters")
    assert same.score == 1.0
    assert far_too_long.score == 0.0
    assert judged(boxed, (box("x + 1"), long + "+ 1"))[0].score == 0.0


def test_a_broken_row_is_unscorable_whatever_the_answer(boxed: MathGrader) -> None:
    for text in (box("5"), "nothing"):
        missing, empty = boxed.grade(
            [Sample(output_text=text, item={}), Sample(output_text=text, item={"gt_answer": " "})]
        )
        for each, word in ((missing, "item.gt_answer"), (empty, "empty")):
            assert each.reason is not None
            assert word in each.reason
            assert each == Grade.unscorable(each.reason, GradeFault.INVALID_VARIABLE)


def test_a_number_in_the_row_is_its_text(boxed: MathGrader) -> None:
    assert [grade.score for grade in judged(boxed, (box("0.50"), 0.5), (box("5"), 5), (box("5"), 6))] == [1, 1, 0]


def test_a_list_of_texts_in_the_row_is_a_list_of_answers(boxed: MathGrader) -> None:
    pairs: list[tuple[str, Json]] = [
        (box("2, 1"), ["1", "2"]),
        (box(r"\sqrt{8}"), [r"2\sqrt{2}"]),
        (box("1"), ["1", "2"]),
        (box("1, 3"), ["1", "2"]),
    ]
    assert [grade.score for grade in judged(boxed, *pairs)] == [1, 1, 0, 0]


def test_the_format_alone_earns_its_weight() -> None:
    grader = MathGrader(MathGraderConfig(type="math", answer_in="boxed", format_weight=0.2), Services())
    try:
        grades = judged(grader, (box("5"), "5"), (box("4"), "5"), ("5", "5"))
    finally:
        grader.close()
    assert [grade.score for grade in grades] == [1.0, 0.2, 0.0]
    assert [grade.parts for grade in grades] == [
        {"format": 1.0, "answer": 1.0},
        {"format": 1.0, "answer": 0.0},
        {"format": 0.0, "answer": 0.0},
    ]


def test_the_answer_may_come_from_json() -> None:
    config = MathGraderConfig(type="math", input="{{ sample.output_json.result }}", reference="{{ item.sum }}")
    grader = MathGrader(config, Services())
    try:
        right, none = grader.grade([Sample(output_text=text, item={"sum": 5}) for text in ('{"result": "5"}', "five")])
    finally:
        grader.close()
    assert right.score == 1.0
    assert none == Grade.failed("sample.output_json does not exist: the answer is not JSON", GradeFault.SAMPLE_PARSE)


def test_grades_come_in_the_order_of_the_samples(boxed: MathGrader) -> None:
    pairs = [(box(f"x^{{{power}}} + {index}"), f"{index} + x^{{2}}") for index, power in enumerate([2, 3] * 16)]
    assert [grade.score for grade in judged(boxed, *pairs)] == [1.0, 0.0] * 16
    assert boxed.grade([]) == []


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (CallFault.TIMEOUT, MathVerdict.UNCHECKED),
        (CallFault.MEMORY, MathVerdict.UNCHECKED),
        (CallFault.RAISED, MathVerdict.DIFFERENT),
        (CallFault.ENDED, MathVerdict.DIFFERENT),
        (CallFault.SANDBOX, MathVerdict.FAILED),
        (CallFault.SOURCE, MathVerdict.FAILED),
    ],
)
def test_only_a_failure_of_our_own_leaves_the_question_open(fault: CallFault, verdict: MathVerdict) -> None:
    outcome = Outcome(fault=fault, message="why", seconds=0.5)
    comparison = unanswered(AnswerPair(answer="x", reference="y"), outcome)
    assert comparison == MathComparison(verdict=verdict, message="why", seconds=0.5)
    assert (
        unanswered(AnswerPair(answer="{x", reference="x"), Outcome(fault=CallFault.RAISED)).verdict
        is MathVerdict.TEXT_EQUAL
    )
