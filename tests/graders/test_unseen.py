from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.decision import Choices
from verifine.graders.extraction import extract_answer, find_tagged
from verifine.graders.format import has_tags
from verifine.graders.unseen import is_unseen, without_unseen_end

UNSEEN = [
    *[
        "",
        " ",
        "\n\n",
        "\t",
        "\u00a0",
        "\u3000",
        "\u2028",
        "\u200b",
        "\ufeff",
        "\u2060",
        "\x00",
        "\x7f",
        "\ufffd",
        "\ufffd\ufffd",
        *"\u034f\u115f\u1160\u17b4\u180b\u2800\u3164\uffa0",
    ],
    *["<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "</s>", "<eos>", "<end_of_turn>"],
    "\n<|im_end|>\n</s> \u200b",
]
SEEN = [
    "\u2801",
    "\u3163",
    "\u1161",
    "\u3164.",
    "\u4e00",
    ".",
    "<",
    "><",
    "\n.",
    "</answer>",
    "7",
    "…",
    "<|im_end|> so",
    "<||>",
    "<|a b|>",
    "s>",
    "<b>",
    "é",
]


@pytest.mark.parametrize("rest", UNSEEN)
def test_what_a_person_does_not_see_behind_the_tags_is_not_punished(rest: str) -> None:
    text = f"<think>so</think><answer>7</answer>{rest}"
    assert find_tagged(text, tag="answer") == "7"
    assert extract_answer(text, "think_answer") == "7"
    assert extract_answer(text, "any") == "7"
    assert has_tags(text, ["think", "answer"])
    assert Choices(["A", "B"]).decide(f"I say\nB{rest}") == "B"
    assert is_unseen(rest)
    assert without_unseen_end(text + rest) == "<think>so</think><answer>7</answer>"


@pytest.mark.parametrize("rest", SEEN)
def test_what_a_person_sees_behind_the_tags_counts(rest: str) -> None:
    text = f"<think>so</think><answer>7</answer>{rest}"
    assert find_tagged(text, tag="answer") is None
    assert extract_answer(text, "think_answer") is None
    assert not has_tags(text, ["think", "answer"])
    assert without_unseen_end(text) == text


@pytest.mark.parametrize(
    "inside", ["", " ", "\u200b", "\n\ufeff", "\u3164", "\u2800 \u2800", "\u115f", "\uffa0", "\u034f", "\u180b"]
)
def test_tags_with_nothing_to_see_inside_are_empty(inside: str) -> None:
    assert not has_tags(f"<think>{inside}</think><answer>7</answer>", ["think", "answer"])


def test_the_last_line_is_the_last_that_is_seen() -> None:
    assert extract_answer("so\n73\u200b\n\u200b\n<|im_end|>\n", "any") == "73"
    assert extract_answer(" \u200b</s>", "any") is None


@given(st.text(alphabet="a <|>/s\u200b_\n", max_size=30))
def test_only_an_end_is_taken_off_and_only_once(text: str) -> None:
    kept = without_unseen_end(text)
    assert text.startswith(kept)
    assert without_unseen_end(kept) == kept
    assert is_unseen(text) == (kept == "")
