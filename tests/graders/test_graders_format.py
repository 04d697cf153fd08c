from __future__ import annotations

import pytest

from verifine.config.graders import FormatGrader
from verifine.graders.format import MAX_CHARACTERS, FormatCheck
from verifine.types import Grade, Sample


def grade(pattern: str, text: str) -> Grade:
    (result,) = FormatCheck(FormatGrader(type="format", name="shape", pattern=pattern)).grade(
        [Sample(output_text=text, item={})]
    )
    return result


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("<think>a\nb</think>7", True),
        ("<think></think>7", True),
        ("x<think></think>7", False),
        ("<think></think>7 ", False),
        ("", False),
    ],
)
def test_the_whole_answer_must_match_and_a_dot_matches_newlines(text: str, matches: bool) -> None:
    expected = Grade(score=float(matches), parts={"shape": float(matches)}, format_ok=matches)
    assert grade(r"<think>.*</think>\d", text) == expected


def test_an_answer_too_long_to_match_is_unscorable() -> None:
    assert grade("a*", "a" * MAX_CHARACTERS).score == 1.0
    assert grade("a*", "a" * (MAX_CHARACTERS + 1)) == Grade.unscorable(
        "the answer has 20001 characters; at most 20000 are matched"
    )
