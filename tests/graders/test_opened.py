"""Templates that begin the answer: what they open counts as opened, and what they decide is not held against it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from verifine.config.graders import GRADER_PRESETS, AnyGrader, GraderConfig
from verifine.data.thoughts import find_answer
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


APART = [
    # what the template opened, what the model wrote, the answer and the thought that graders see
    ("", "<think>\n8\n</think>\n\n7", "7", "8"),
    (OPEN, "<answer>8</answer>\n</think>\n\n7", "7", "<answer>8</answer>"),
    (EMPTY, "7", "7", ""),
    (OPEN, "7", "", "7"),
]
EQUAL = GRADER.validate_python(
    {
        "type": "string_check",
        "operation": "eq",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.gt_answer }}",
    }
)


def apart(opened: str, text: str) -> Sample:
    return Sample.of(text, {"gt_answer": "7"}, opened=opened, answer_start=find_answer(opened, text))


@pytest.mark.parametrize(("opened", "text", "answer", "thought"), APART)
def test_the_thought_of_a_model_that_thinks_apart_is_not_its_answer(
    opened: str, text: str, answer: str, thought: str
) -> None:
    sample = apart(opened, text)
    fields = sample_fields(sample)
    assert (fields["output_text"], fields["reasoning_text"]) == (answer, thought)
    assert fields["choices"] == [{"index": 0, "message": {"role": "assistant", "content": answer}}]
    assert sample.thought + sample.output_text == text
    (found,) = build_grader(EQUAL).grade([sample])
    assert found.score == float(answer == "7")


def score(config: dict[str, object], sample: Sample) -> float | None:
    (found,) = build_grader(GRADER.validate_python(config)).grade([sample])
    return found.score


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {"type": "answer"},
        {"type": "choice", "choices": ["7", "8"]},
        {"type": "math", "answer_in": "answer"},
        {"type": "math", "answer_in": "any"},
        {"type": "format", "template": "<answer>...</answer>"},
        {"type": "format", "pattern": r"<answer>\d</answer>"},
    ],
)
def test_graders_of_other_tags_read_the_answer_alone(config: dict[str, object]) -> None:
    for thought in ("8", "<answer>8</answer>", "is it <answer>", "\\boxed{8}"):
        for opened, text in ((OPEN, f"{thought}\n</think>\n\n"), ("", f"<think>\n{thought}\n</think>\n\n")):
            assert score(config, apart(opened, f"{text}<answer>7</answer>")) == 1
    assert score(config, apart(OPEN, "<answer>7</answer>")) == 0  # only thought of
    assert score(config, apart(OPEN, "<answer>7</answer></think>I do not know")) == 0


@pytest.mark.parametrize(("opened", "text", "fits"), CASES)
def test_graders_of_thoughts_see_them(opened: str, text: str, fits: bool) -> None:
    for config in (FORMAT, GRADER_PRESETS["think_answer_tags"]):
        (found,) = build_grader(config).grade([apart(opened, text)])
        assert found.format_ok == fits, (config.type, opened, text)


def test_a_call_that_is_only_thought_of_is_none() -> None:
    call = '<tool_call>{"name": "add", "arguments": {}}</tool_call>'
    assert sample_fields(apart(OPEN, f"{call}</think>No."))["output_tools"] == []
    assert len(sample_fields(apart(OPEN, f"so</think>{call}"))["output_tools"]) == 1  # type: ignore[arg-type]


def test_a_pattern_that_names_a_thought_sees_it() -> None:
    (found,) = build_grader(PATTERN).grade([apart(OPEN, "so</think>\n\n<answer>7</answer>")])
    assert found.format_ok
    (found,) = build_grader(PATTERN).grade([apart(EMPTY, "<answer>7</answer>")])
    assert found.format_ok
    (found,) = build_grader(PATTERN).grade([apart(OPEN, "so<answer>7</answer>")])
    assert not found.format_ok
