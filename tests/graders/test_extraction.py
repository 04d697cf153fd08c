from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.extraction import AnswerPlace, extract_answer, find_program, find_tagged


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("<answer>31</answer>", "31"),
        ("I think so. <answer>31</answer>\n ", "31"),
        ("<answer>\n31\n</answer>", "\n31\n"),
        ("<answer></answer>", ""),
        ("<answer>31</answer>.", None),
        ("<answer>31", None),
        ("31</answer>", None),
        ("</answer>31<answer>", None),
        ("<answer>3</answer><answer>1</answer>", None),
        ("<answer><answer>31</answer>", None),
        ("<answer>31</answer></answer>", None),
        ("<Answer>31</Answer>", None),
        ("31", None),
        ("", None),
    ],
)
def test_answer_is_what_stands_in_the_only_pair_of_tags_at_the_end(text: str, content: str | None) -> None:
    assert find_tagged(text, tag="answer") == content


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{31}.", "31"),
        (r"\boxed{ 31 }", "31"),
        (r"\boxed{3} no, \boxed{31}", "31"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\boxed{31}}", "31"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{a \} b}", r"a \} b"),
        (r"\boxed{}", ""),
        (r"\boxed{3} and then \boxed{31", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed 31", None),
        ("boxed{31}", None),
        ("", None),
    ],
)
def test_the_last_box_must_close(text: str, answer: str | None) -> None:
    assert extract_answer(text, "boxed") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>t</think><answer>31</answer>", "31"),
        ("Well: <think>t</think> so <answer> 31 </answer>\n", "31"),
        ("<think></think><answer></answer>", ""),
        ("<answer>31</answer>", None),
        ("<think>t</think>31", None),
        ("<think>t<answer>31</answer></think>", None),
        ("<answer>31</answer><think>t</think>", None),
        ("</think>t<think><answer>31</answer>", None),
        ("<think><answer></think>31</answer>", None),
        ("<think>t</think><think>t</think><answer>31</answer>", None),
        ("<think>I write <answer> now</think><answer>31</answer>", None),
        ("<think>t</think><answer>31</answer> bye", None),
        ("", None),
    ],
)
def test_each_of_the_four_tags_stands_once_and_in_order(text: str, answer: str | None) -> None:
    assert extract_answer(text, "think_answer") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"<answer>4</answer> or \boxed{31}", "31"),
        (r"\boxed{4 <answer>31</answer>", "31"),
        ("First\n<answer>4</answer>\nThen\n 31 \n\n", "31"),
        ("31", "31"),
        (" \n ", None),
        ("", None),
    ],
)
def test_anywhere_means_a_box_else_tags_else_the_last_line(text: str, answer: str | None) -> None:
    assert extract_answer(text, "any") == answer


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("```py\nx = 1\n```", "x = 1\n"),
        ("```Python3 \r\nx = 1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\nBetter:\n```python\nx = 2\n```", "x = 2\n"),
        ("```python\nx = 1\n```\n```\noutput\n```", "x = 1\n"),
        ("```python\nprint('```')\n```", "print('```')\n"),
        ("```python\nif x:\n    y\n  ```", "if x:\n    y\n"),
        ("```python\nx = 1", None),
        ("```python\nx = 1\n```\nBetter:\n```python\nx = 2", None),
        ("```python\n\n  \n```", None),
        ("```\nx = 1\n```", None),
        ("```javascript\nx = 1\n```", None),
        ("x = 1", None),
        ("", None),
    ],
)
def test_the_program_stands_between_the_last_python_fence_and_the_next_fence(text: str, program: str | None) -> None:
    assert find_program(text) == program


PLACES: list[AnswerPlace] = ["boxed", "answer", "think_answer", "any"]


@given(st.text(alphabet=r"{}\bx1 <>/", max_size=40), st.sampled_from(PLACES))
def test_whatever_is_found_is_a_part_of_the_text_without_outer_blanks(text: str, place: AnswerPlace) -> None:
    text = text.replace("b", r"\boxed{").replace("<", "<answer>").replace(">", "</answer>")
    answer = extract_answer(text, place)
    assert answer is None or (answer in text and answer == answer.strip())


def test_a_huge_text_is_read_in_one_go() -> None:
    text = r"\boxed{" * 100_000 + "{" * 100_000
    assert extract_answer(text, "boxed") is None
    assert extract_answer(r"\boxed{" + "(" * 200_000 + "}", "boxed") == "(" * 200_000
    assert find_program("```python\n" * 20_000) is None
