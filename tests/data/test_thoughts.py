from __future__ import annotations

import pytest

from verifine.config.graders import NumberGraderConfig
from verifine.data.thoughts import bare_thought, behind_thoughts, find_answer
from verifine.graders import build_grader
from verifine.graders.extraction import extract_answer
from verifine.types import Sample


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ("5", "5"),
        ("<think>4</think>5", "5"),
        ("4</think>5", "5"),
        ("<think>3</think>4<think></think>5", "5"),
        ("<think>4</think>", ""),
        ("<think>4", ""),
    ],
)
def test_only_what_stands_behind_the_last_thought_is_the_answer(text: str, behind: str) -> None:
    assert behind_thoughts(text) == behind


@pytest.mark.parametrize(
    ("text", "score"), [("<think>5</think>6", 0.0), ("<think>6</think>5", 1.0), ("<think>5</think>I do not know", 0.0)]
)
def test_the_last_number_is_one_behind_the_thoughts(text: str, score: float) -> None:
    (grade,) = build_grader(NumberGraderConfig(type="number")).grade([Sample(output_text=text, item={"gt_answer": 5})])
    assert grade.score == score


def test_a_box_in_the_thoughts_is_not_the_answer() -> None:
    text = "<think>\\boxed{4}</think>\n"
    assert extract_answer(text + "It is 5.", "boxed") is None
    assert extract_answer(text + "5", "any") == "5"
    assert extract_answer(text + "\\boxed{5}", "boxed") == "5"


@pytest.mark.parametrize(
    ("opened", "text", "answer"),
    [
        ("", "<think>\nso\n</think>\n\n7", "7"),
        ("<think>\n", "so\n</think>\n\n7\n", "7\n"),
        ("<think>\n\n</think>\n\n", "7", "7"),
        ("<think>\n\n</think>\n\n", "\n7", "\n7"),
        ("", "7", "7"),
        ("", "\n7", "\n7"),
        ("<think>\n", "so", ""),  # cut off
        ("", "<think>so", ""),
        ("<think></think>", "7 <think>so", ""),
        ("", "<think>so</think>6<think>no</think> 7", " 7"),
        ("<think>", "so</think>", ""),
    ],
)
def test_the_answer_begins_behind_the_thought(opened: str, text: str, answer: str) -> None:
    assert text[find_answer(opened, text) :] == answer


def test_a_bare_thought_has_no_tags_and_no_blanks_around_it() -> None:
    assert bare_thought("<think>\nso it\nis\n</think>\n\n") == "so it\nis"
    assert bare_thought("<think>\n\n</think>\n\n") == ""
