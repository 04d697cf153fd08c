from __future__ import annotations

import pytest

from verifine.config import ModelConfig
from verifine.insights.findings import Severity
from verifine.models.chat.hidden import ChatPart, HiddenPart, HiddenParts
from verifine.preflight.prompts import PromptFacts, judge_prompts
from verifine.types import Json


def hiding(part: ChatPart, text: str = "Be brief.") -> PromptFacts:
    found = HiddenPart(part=part, rows=3, place="t.jsonl line 2", text=text)
    return PromptFacts(model="tiny", hidden=HiddenParts(rows=10, parts=(found,)))


NOTHING = HiddenParts(rows=10)


@pytest.mark.parametrize("part", ChatPart)
def test_each_hidden_part_is_told_with_its_rows_and_a_way_to_go(part: ChatPart) -> None:
    (finding,) = judge_prompts(hiding(part), ModelConfig())
    is_note = part in (ChatPart.NAME, ChatPart.REASONING)
    assert finding.severity is (Severity.NOTE if is_note else Severity.WARNING)
    assert finding.what == f"The chat template of tiny leaves out {part.value}: the model does not see it."
    assert finding.evidence == '3 of 10 rows; in t.jsonl line 2: "Be brief."'
    assert finding.remedies != ()


def test_a_long_text_is_cut() -> None:
    (finding,) = judge_prompts(hiding(ChatPart.SYSTEM, "a" * 5000), ModelConfig())
    assert len(finding.evidence) < 120


def test_what_the_template_begins_is_a_note() -> None:
    facts = PromptFacts(model="tiny", hidden=NOTHING, openings=("<think>\n", "<think>\n\n</think>\n\n"))
    (finding,) = judge_prompts(facts, ModelConfig())
    assert finding.severity is Severity.NOTE
    assert finding.evidence == r'"<think>\n", "<think>\n\n</think>\n\n"'
    assert "sample.opened_text" in finding.remedies[0]


def test_that_graders_do_not_see_thoughts_is_a_note() -> None:
    assert judge_prompts(PromptFacts(model="tiny", hidden=NOTHING), ModelConfig()) == []
    (finding,) = judge_prompts(PromptFacts(model="tiny", hidden=NOTHING, thinks_apart=True), ModelConfig())
    assert (finding.name, finding.severity) == ("answers_without_thoughts", Severity.NOTE)
    assert "sample.reasoning_text" in finding.remedies[0]


@pytest.mark.parametrize(
    ("learned", "now", "is_told"),
    [
        (None, {"a": 1}, False),
        ({}, {}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ({"a": 1}, {}, True),
        ({}, {"a": 1}, True),
        ({"a": True}, {"a": False}, True),
    ],
)
def test_weights_that_learned_with_other_values_are_told(
    learned: dict[str, Json] | None, now: dict[str, Json], is_told: bool
) -> None:
    facts = PromptFacts(model="tiny", hidden=NOTHING, learned_with=learned)
    found = judge_prompts(facts, ModelConfig(chat_template_kwargs=now))
    assert [finding.name for finding in found] == ["other_template_values"] * is_told
