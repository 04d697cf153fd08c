"""Templates that begin the answer: what they open counts as opened, and what they decide is not held against it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from verifine.config.graders import GRADER_PRESETS, AnyGrader, GraderConfig
from verifine.graders import build_grader
from verifine.graders.callable import callable_grader
from verifine.graders.sample import sample_fields
from verifine.types import Grade, Sample

GRADER: TypeAdapter[AnyGrader] = TypeAdapter(GraderConfig)

OPEN = "<think>\n"
EMPTY = "<think>\n\n</think>\n\n"
"""Qwen 3 without thinking."""


def grade(config: Any, opened: str, text: str, item: dict[str, Any] | None = None) -> Grade:
    (result,) = build_grader(config).grade([Sample(output_text=text, item=item or {"gt_answer": "7"}, opened=opened)])
    return result


FORMAT = GRADER.validate_python({"type": "format", "template": "<think>...</think><answer>...</answer>"})
PATTERN = GRADER.validate_python({"type": "format", "pattern": r"<think>.*</think>\s*<answer>.*</answer>"})

CASES = [
    # what the template opened, what the model wrote, whether the thoughts and the answer are in the right form
    ("", "<think>so</think><answer>7</answer>", True),
    ("", "so</think><answer>7</answer>", False),
    ("", "<answer>7</answer>", False),
    (OPEN, "so</think><answer>7</answer>", True),
    (OPEN, "so</think>\n\n<answer>7</answer>\n", True),
    (OPEN, "<think>so</think><answer>7</answer>", True),
    (OPEN, "so <answer>7</answer>", False),
    (OPEN, "so</think>7", False),
    (OPEN, "so</think></think><answer>7</answer>", False),
    (OPEN, "so</think><answer>6</answer><answer>7</answer>", False),
    (OPEN, "so", False),
    (OPEN, "", False),
    (EMPTY, "<answer>7</answer>", True),
    (EMPTY, "<think>so</think><answer>7</answer>", True),
    (EMPTY, "7", False),
    (EMPTY, "so</think><answer>7</answer>", False),
]


@pytest.mark.parametrize(("opened", "text", "fits"), CASES)
def test_thoughts_that_the_template_opened_count_in_think_answer_tags(opened: str, text: str, fits: bool) -> None:
    found = grade(GRADER_PRESETS["think_answer_tags"], opened, text)
    assert (found.score, found.format_ok, found.answer_ok) == (float(fits), fits, fits)


@pytest.mark.parametrize(("opened", "text", "fits"), CASES)
def test_they_count_in_a_format_of_tags(opened: str, text: str, fits: bool) -> None:
    assert grade(FORMAT, opened, text).format_ok is fits


@pytest.mark.parametrize(
    ("opened", "text", "fits"),
    [
        ("", "so</think><answer>7</answer>", False),
        (OPEN, "so</think><answer>7</answer>", True),
        (OPEN, "<think>so</think><answer>7</answer>", True),
        (OPEN, "so <answer>7</answer>", False),
        (EMPTY, "<answer>7</answer>", True),
    ],
)
def test_they_count_in_a_format_by_a_pattern(opened: str, text: str, fits: bool) -> None:
    assert grade(PATTERN, opened, text).format_ok is fits


def test_a_pattern_that_knows_of_the_template_stays_right() -> None:
    workaround = GRADER.validate_python({"type": "format", "pattern": r".*</think>\s*<answer>.*</answer>"})
    assert grade(workaround, OPEN, "so</think><answer>7</answer>").format_ok is True


def test_a_thought_of_the_model_itself_needs_text() -> None:
    assert grade(FORMAT, OPEN, "\n</think><answer>7</answer>").format_ok is False
    assert grade(FORMAT, EMPTY, "<answer> </answer>").format_ok is False
    assert grade(FORMAT, EMPTY, "<think></think><answer>7</answer>").format_ok is False


@pytest.mark.parametrize(
    "config",
    [
        {"type": "answer", "compare": "number"},
        {"type": "math", "answer_in": "answer"},
        {"type": "math"},
        {"type": "choice", "choices": ["7", "8"]},
        {"type": "format", "template": "<answer>...</answer>"},
    ],
)
def test_any_tag_may_be_opened(config: dict[str, Any]) -> None:
    grader = GRADER.validate_python(config)
    assert grade(grader, "<think>\n\n</think>\n<answer>", "7</answer>").score == 1
    assert grade(grader, "<answer>", "7</answer>").score == 1


def test_tags_that_a_grader_does_not_know_are_not_its_matter() -> None:
    """A role that looks like a tag, say."""
    only_answer = GRADER.validate_python({"type": "format", "template": "<answer>...</answer>"})
    assert grade(only_answer, "<assistant>\n", "<answer>7</answer>").format_ok is True
    assert grade(FORMAT, "<assistant>\n<think>", "so</think><answer>7</answer>").format_ok is True


def test_the_answer_behind_a_thought_is_found_where_the_thought_has_a_number() -> None:
    assert grade(GRADER_PRESETS["think_answer_tags"], OPEN, "8 or 9? </think><answer>7</answer>").answer_ok is True


@pytest.mark.parametrize("kind", ["multi", "weighted"])
def test_graders_of_graders_pass_it_on(kind: str) -> None:
    shape = {"type": "format", "template": "<think>...</think><answer>...</answer>"}
    rest: dict[str, Any] = {"calculate_output": "shape"} if kind == "multi" else {"weights": {"shape": 1}}
    grader = GRADER.validate_python({"type": kind, "graders": {"shape": shape}, **rest})
    assert grade(grader, OPEN, "so</think><answer>7</answer>").score == 1


def test_a_template_that_opens_a_tool_call_leaves_the_rest_to_the_model() -> None:
    seen = sample_fields(
        Sample(output_text='{"name": "add", "arguments": {}}</tool_call>', item={}, opened="<tool_call>\n")
    )
    assert seen["output_tools"] == [{"type": "function", "function": {"name": "add", "arguments": "{}"}}]


def test_openais_fields_are_what_the_model_wrote_and_user_code_can_read_the_rest() -> None:
    check = {"type": "string_check", "operation": "eq", "reference": f"{OPEN}so</think>7"}
    text = GRADER.validate_python({**check, "input": "{{ sample.output_text }}"})
    whole = GRADER.validate_python({**check, "input": "{{ sample.opened_text }}{{ sample.output_text }}"})
    assert [grade(each, OPEN, "so</think>7").score for each in (text, whole)] == [0, 1]
    own = callable_grader(lambda sample, _: float((sample["output_text"], sample["opened_text"]) == ("a", OPEN)))
    assert own.grade([Sample(output_text="a", item={}, opened=OPEN)])[0].score == 1


PAGE = (Path(__file__).parents[2] / "docs/graders.md").read_text(encoding="utf-8")
TOLD = re.findall(r"^\| (nothing|`<think>.*?`) \| `(.*?)` \| (right|wrong)", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("opened", "text", "verdict"), TOLD)
def test_the_page_says_what_is_in_the_right_form(opened: str, text: str, verdict: str) -> None:
    assert len(TOLD) == 5
    begun = "" if opened == "nothing" else opened.strip("`")
    for grader in (FORMAT, GRADER_PRESETS["think_answer_tags"]):
        assert grade(grader, begun, text).format_ok is (verdict == "right")
