"""The check's findings about what the chat template makes of the rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from verifine.config import ModelConfig
from verifine.insights.findings import Finding, Severity
from verifine.models.chat.hidden import ChatPart, HiddenPart, HiddenParts
from verifine.preflight.shortening import shorten
from verifine.types import Json

_OTHER_MODEL = "use a model whose template shows it (model.name)"
_TOOL_MODEL = "Use a model that was trained to call tools (model.name)."

_REMEDIES: Mapping[ChatPart, str] = {
    ChatPart.SYSTEM: "Write its text into the user message in place of a system prompt (data.system_prompt), or "
    f"{_OTHER_MODEL}.",
    ChatPart.DEVELOPER: f"Call its role system if the template shows that role, or {_OTHER_MODEL}.",
    ChatPart.USER: f"Shorten the chat to what the template shows, or {_OTHER_MODEL}.",
    ChatPart.ASSISTANT: f"Shorten the chat to what the template shows, or {_OTHER_MODEL}.",
    ChatPart.TOOL: _TOOL_MODEL,
    ChatPart.CALL: _TOOL_MODEL,
    ChatPart.ARGUMENTS: _TOOL_MODEL,
    ChatPart.RESULT_ID: "Put the results of a turn's calls in the order of the calls.",
    ChatPart.NAME: "Write the name into the content if the model should know it.",
    ChatPart.REASONING: "Templates of reasoning models leave out earlier thoughts on purpose. Write into the content "
    "what the model should know.",
}

_LESS_SERIOUS = frozenset({ChatPart.NAME, ChatPart.REASONING})


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFacts:
    """How the chat template shows the rows to the model."""

    model: str
    hidden: HiddenParts
    openings: tuple[str, ...] = ()
    """The ways in which the template begins the answers, as `Prompt.opened`; empty: it never writes a tag."""
    thinks_apart: bool = False
    """Whether graders see the answers without the model's thoughts."""
    learned_with: Mapping[str, Json] | None = None
    """The `chat_template_kwargs` of the run that the weights are from; None: they are from no run."""


def judge_prompts(facts: PromptFacts, config: ModelConfig) -> list[Finding]:
    return [
        *(_hidden(facts, part) for part in facts.hidden.parts),
        *_openings(facts),
        *_thoughts(facts),
        *_other_values(facts, config.chat_template_kwargs),
    ]


def _hidden(facts: PromptFacts, hidden: HiddenPart) -> Finding:
    return Finding(
        severity=Severity.NOTE if hidden.part in _LESS_SERIOUS else Severity.WARNING,
        name=f"hidden_{hidden.part.name.lower()}",
        what=f"The chat template of {facts.model} leaves out {hidden.part}: the model does not see it.",
        evidence=f'{hidden.rows} of {facts.hidden.rows} rows; in {hidden.place}: "{shorten(hidden.text)}"',
        remedies=(_REMEDIES[hidden.part],),
    )


def _openings(facts: PromptFacts) -> Iterator[Finding]:
    if facts.openings:
        yield Finding(
            severity=Severity.NOTE,
            name="answers_begun_by_template",
            what=f"The chat template of {facts.model} writes the beginning of each answer.",
            evidence=", ".join(json.dumps(shorten(opening), ensure_ascii=False) for opening in facts.openings),
            remedies=(
                "Graders of tags count this as part of the answer. sample.output_text is without it; it is "
                "sample.opened_text.",
            ),
        )


def _thoughts(facts: PromptFacts) -> Iterator[Finding]:
    if facts.thinks_apart:
        yield Finding(
            severity=Severity.NOTE,
            name="answers_without_thoughts",
            what=f"{facts.model} thinks before it answers, and graders see the answers without the thoughts.",
            evidence="its chat template names <think> or </think>",
            remedies=(
                "sample.output_text is what stands behind </think>; the thought is sample.reasoning_text. Graders that "
                "look for <think> see both.",
            ),
        )


def _other_values(facts: PromptFacts, values: Mapping[str, Json]) -> Iterator[Finding]:
    if facts.learned_with is not None and dict(facts.learned_with) != dict(values):
        yield Finding(
            severity=Severity.WARNING,
            name="other_template_values",
            what="The weights were trained with other values for the chat template than these prompts have.",
            evidence=f"trained with {json.dumps(dict(facts.learned_with))}, now {json.dumps(dict(values))}",
            remedies=("Set model.chat_template_kwargs as in that run, unless the change is meant.",),
        )
