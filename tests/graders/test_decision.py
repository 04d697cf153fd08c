from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.decision import Choices

LETTERS = Choices(("A", "B", "C", "D"))
YES_OR_NO = Choices(("yes", "no"))
WORDS = Choices(("positive", "very positive", "may be", "may be not", "not sure", "C", "C++", "1", "2", "10"))


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        # The choice and nothing else.
        ("B", "B"),
        ("b", "B"),
        (" (B)\n", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("$B$", "B"),
        ('"a"', "A"),
        # Explicit: tags before boxes before statements, and the last one of its kind.
        ("<answer>B</answer>", "B"),
        ("I say A. <ANSWER> (b) </ANSWER> The answer is C", "B"),
        ("<answer>A</answer> no: <answer>B</answer>", "B"),
        ("\\boxed{B}", "B"),
        ("$\\boxed{\\text{B}}$, the answer is C", "B"),
        ("\\boxed{A} and then \\boxed{B}", "B"),
        ("The answer is (B)", "B"),
        ("the answer is b.", "B"),
        ("Answer: B", "B"),
        ("**Answer:** B", "B"),
        ("Answer: **B**", "B"),
        ("**Final Answer**: c)", "C"),
        ("The correct option is D, since ...\nI hope this helps.", "D"),
        ("the answer is option (D).", "D"),
        ("Choice: A", "A"),
        ("The answer is\n\nB", "B"),
        ("The answer is A. No, the answer is B.", "B"),
        ("The answer is A because B is too large", "A"),
        ("Answer: B (not A)", "B"),
        ("answer is A, not B", "A"),
        ("The answer is a bit hidden. Answer: B", "B"),
        # What is taken back is not read; only a later statement counts.
        ("the answer is A. Actually no", "A"),
        # The only one on the last line.
        ("A cannot be. C cannot be.\nSo it is B.", "B"),
        ("Paris (B)", "B"),
        ("b) Paris", "B"),
        ("I take (b) here", "B"),
        ("(b) it is", "B"),
        ("B) a big city", "B"),
        ("I think it is B", "B"),
        ("A cat, so C", "C"),
        ("A is correct", "A"),
        ("A, not B", "A"),
        ("B is wrong, so C", "C"),
        ("B isn't right, D is", "D"),
        ("B, B and B", "B"),
        ('{"answer": "B"}', "B"),
        ("x = 5, so D", "D"),
        ("<answer>B", "B"),
        ("The answer is B (A is too small).", "B"),
        ("The answer is B; C is wrong", "B"),
        ("The answer is B, a big city", "B"),
        ("The answer is B. The answer is C is wrong.", "B"),
        # Only what stands behind the thoughts.
        ("<think>Perhaps the answer is A.</think>\nB", "B"),
        ("<think>\\boxed{A}</think>\n\n**B**", "B"),
        ("<think>could be <answer>A</answer></think>\n\nB", "B"),
        ("so the answer is A</think>B", "B"),
    ],
)
def test_text_decides_for_one(text: str, choice: str) -> None:
    assert LETTERS.decide(text) == choice


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "A B C D",
        "A, B",
        "A or B",
        "either (A) or (B)",
        "Neither A nor B",
        "not B",
        "It isn't B",
        "B is wrong",
        "C. Vitamin D",
        "E",
        "Answer: E",
        "the answer is not B",
        "The answer is A or B",
        "Answer: A/B",
        "Answer: A and (B)",
        "The answer is B, C",
        "The answer is B (or A).",
        "The answer is B; or A",
        "The answer is B, or maybe A",
        "The answer is B and/or A",
        "The answer is B as well as A",
        "The answer is B plus A",
        "The answer is B+A",
        "The answer is A or the answer is B",
        "The answer is B is wrong",
        "<think>The answer is B",
        "<answer>A or B</answer> B",
        "<answer></answer> B",
        "<answer>E</answer> B",
        "\\boxed{A, B} B",
        # No choices, but words and names.
        "A dog",
        "the answer is a dog",
        "I choose b",
        "B-52",
        "vitamin-C",
        "C++",
        "the grade is A+",
        "A's",
        "a b",
        "f(a, b)",
        # The last line says nothing.
        "B\n\nI hope this helps!",
    ],
)
def test_text_decides_for_none_or_for_more_than_one(text: str) -> None:
    assert LETTERS.decide(text) is None


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Yes.", "yes"),
        ("NO!", "no"),
        ("No, it is green.", "no"),
        ("Answer: no", "no"),
        ("<answer>yes</answer> no", "yes"),
        ("yes and no", None),
        ("No, for no reason", "no"),
        ("Yes, for no reason", "yes"),
        ("There is no way.", None),
        ("I have no idea", None),
        ("The answer is no because it is odd", "no"),
        ("It is no", "no"),
        ("not yes", None),
        ("eyes", None),
        ("I do not know", None),
    ],
)
def test_choices_may_be_words(text: str, choice: str | None) -> None:
    assert YES_OR_NO.decide(text) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("It is very positive", "very positive"),
        ("It is positive", "positive"),
        ("positively", None),
        ("I am not sure.", "not sure"),
        ("It may be not.", "may be not"),
        ("It may be.", "may be"),
        ("I like C++.", "C++"),
        ("I like C.", "C"),
        ("Answer: C++", "C++"),
        ("10", "10"),
        ("1.5 or 10", "10"),
        ("1,000 or 2", "2"),
    ],
)
def test_the_longest_choice_that_stands_there_is_meant(text: str, choice: str | None) -> None:
    assert WORDS.decide(text) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("The answer is 1", "1"),
        ("- 1", "1"),
        ("The answer is -1", None),
        ("\\boxed{\u22121}", None),
        ("1-2", None),
        ("1%", None),
    ],
)
def test_a_number_with_a_sign_is_another_choice(text: str, choice: str | None) -> None:
    assert Choices(("1", "2", "3", "4")).decide(text) == choice


@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"))
def test_a_hedge_decides_for_none_in_every_form(first: str, second: str) -> None:
    forms = [
        "{} or {}",
        "<answer>{}, {}</answer>",
        "\\boxed{{{} / {}}}",
        "The answer is {} or {}.",
        "Answer: ({}) & ({})",
    ]
    wanted = first if first == second else None
    assert [LETTERS.decide(form.format(first, second)) for form in forms] == [wanted] * len(forms)


@given(st.text(alphabet="ABab answer:is<>/\\boxed{}().,\n", max_size=60))
def test_whatever_is_decided_is_a_choice(text: str) -> None:
    assert LETTERS.decide(text) in (None, "A", "B", "C", "D")


@pytest.mark.parametrize(
    ("text", "choice"), [("B", "B"), (" b\n", "B"), ("(B).", "B"), ("B or", None), ("AB", None), ("", None)]
)
def test_a_choice_is_found_in_any_case_and_between_punctuation(text: str, choice: str | None) -> None:
    assert LETTERS.find(text) == choice


def test_a_long_answer_is_read_once() -> None:
    for hostile in ("<answer>", "\\boxed{", "answer is ", "A or B ", "answer: ****", "(((", "not ", "a " * 50):
        assert LETTERS.decide(hostile * (100_000 // len(hostile))) is None
