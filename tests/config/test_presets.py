from __future__ import annotations

import pytest

from verifine.config.graders import (
    GRADER_PRESETS,
    REWARD_TYPES,
    AnswerGraderConfig,
    CodeGraderConfig,
    MathGraderConfig,
)


def test_every_reward_type_is_also_a_grader_by_that_name() -> None:
    for name, reward_type in REWARD_TYPES.items():
        assert GRADER_PRESETS[name] is reward_type.grader
        assert reward_type.grader.name == name
    assert set(GRADER_PRESETS) == {"answer_exact", "answer_number", "think_answer_tags", "boxed", "code"}


def test_every_preset_judges_the_format() -> None:
    for grader in GRADER_PRESETS.values():
        assert grader.traits.judges_format


def test_the_reward_types_pay_for_nothing_but_a_right_answer_in_the_right_format() -> None:
    for reward_type in REWARD_TYPES.values():
        assert isinstance(reward_type.grader, MathGraderConfig | CodeGraderConfig)
        assert reward_type.grader.format_weight == 0.0


@pytest.mark.parametrize(("name", "place"), [("think_answer_tags", "think_answer"), ("boxed", "boxed")])
def test_mathematics_pays_half_for_an_equal_text_that_is_none(name: str, place: str) -> None:
    grader = REWARD_TYPES[name].grader
    assert isinstance(grader, MathGraderConfig)
    assert (grader.answer_in, grader.text_match_score) == (place, 0.5)


def test_the_plain_answer_graders_pay_a_little_for_the_format() -> None:
    for name in ("answer_exact", "answer_number"):
        grader = GRADER_PRESETS[name]
        assert isinstance(grader, AnswerGraderConfig)
        assert grader.format_weight == 0.1


def test_the_model_is_told_what_the_grader_looks_for() -> None:
    tagged, boxed, code = (REWARD_TYPES[name] for name in ("think_answer_tags", "boxed", "code"))
    assert all(tag in tagged.system_prompt for tag in ("<think>", "</think>", "<answer>", "</answer>"))
    assert "\\boxed{}" in boxed.system_prompt
    assert "```python" in code.system_prompt


def test_only_tags_can_stop_an_answer() -> None:
    assert {name: reward_type.stop for name, reward_type in REWARD_TYPES.items()} == {
        "think_answer_tags": ("</answer>",),
        "boxed": (),
        "code": (),
    }
