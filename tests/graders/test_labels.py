from __future__ import annotations

import pytest

from verifine.graders.labels import bare_value, last_stated, without_label, without_name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Final answer: **73**", "73"),
        ("**Final answer:** 73", "73"),
        ("**Final Answer: 73**", "73"),
        ("**Final answer**: $73$", "73"),
        ("### Answer: 73", "73"),
        ("#### 73", "73"),
        ("####", "####"),
        ("# 73", "# 73"),
        ("> Answer - no", "> Answer - no"),
        ("The answer is: $73$.", "73"),
        (r"The answer is: $\boxed{73}$.", "73"),
        ("So the final answer is 73", "73"),
        ("Therefore, the correct answer is \u221273", "-73"),
        ("Answer = 5", "5"),
        ("ANSWER: 5", "5"),
        ("Ans: 5", "5"),
        ("Result: 5", "5"),
        ("Answer\uff1a5", "5"),
        ("Answer -> 5", "5"),
        ("The answer to the question is 5", "5"),
        ("The solutions are 2 and 3", "2 and 3"),
        (r"\text{Answer: } 5", "5"),
        (r"\textbf{Final answer:} 5", "5"),
        (r"\text{Answer: 5}", "5"),
        ("$$\\text{The answer is } 5$$", "5"),
        # No label, or more than one.
        ("The answer is not 5", "The answer is not 5"),
        ("It is 5", "It is 5"),
        ("Question: 5", "Question: 5"),
        ("Answer 5", "Answer 5"),
        ("Step 5: 6", "Step 5: 6"),
        ("answers", "answers"),
        ("Answer:", "Answer:"),
        ("The answer is 4 or 5", "4 or 5"),
        ("x = 5", "x = 5"),
        ("", ""),
    ],
)
def test_a_label_before_the_value_is_not_part_of_it(text: str, value: str) -> None:
    assert bare_value(text) == value


def test_a_label_is_removed_and_nothing_else() -> None:
    assert without_label("Answer: **Paris**") == "**Paris**"
    assert without_label("  Paris ") == "Paris"


@pytest.mark.parametrize(
    ("text", "value"),
    [("x = 5", "5"), ("x_1=5", "5"), (r"\theta = 5", "5"), ("Total = 5", "5"), ("5", "5"), ("2x = 5", "2x = 5")],
)
def test_a_name_before_the_value_is_not_part_of_it(text: str, value: str) -> None:
    assert without_name(text) == value


def test_the_last_statement_of_a_sentence_counts() -> None:
    assert last_stated("The answer is 4? No, the answer is 5.") == "5."
    assert last_stated("I add them up.") is None
    assert last_stated("The answer is") is None


def test_long_texts_are_read_in_one_go() -> None:
    for hostile in ("answer" + " " * 100_000, "the " * 30_000, "*" * 100_000, "answer is " * 10_000, "= " * 50_000):
        assert without_label(hostile) is not None
        assert last_stated(hostile + "answer: 5") == "5"
