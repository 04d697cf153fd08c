"""The facts about what the chat template makes of the rows of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from verifine.errors import VerifineError
from verifine.launch.build import BuiltRun
from verifine.launch.inputs import RunInputs
from verifine.models.chat.hidden import find_hidden_parts
from verifine.models.load import LanguageModel
from verifine.models.thinking import thinks_apart
from verifine.preflight.prompts import PromptFacts
from verifine.runs.directory import RunDirectory
from verifine.runs.run_config import load_run_config
from verifine.types import Example, Json, Prompt

LOOKED_AT_PROMPTS = 8
"""Prompts in which to look for what the template writes of the answer; it depends little on the row."""


def find_prompt_facts(inputs: RunInputs, built: BuiltRun) -> PromptFacts:
    """Reads every row once more."""
    prompts = built.trainer.source.draw(0, min(LOOKED_AT_PROMPTS, len(inputs.train)))
    rows = chain(inputs.train, inputs.held_out)
    return describe_prompts(built.model, rows, prompts, learned_with=_learned_with(built.config.model.start_from))


def describe_prompts(
    model: LanguageModel,
    rows: Iterable[Example],
    prompts: Iterable[Prompt],
    *,
    name: str | None = None,
    learned_with: Mapping[str, Json] | None = None,
) -> PromptFacts:
    """`prompts` are some of the rows as the model reads them; `name` is what people call it, None: its own."""
    return PromptFacts(
        model=name or model.name,
        hidden=find_hidden_parts(model.tokenizer, rows),
        openings=tuple(dict.fromkeys(prompt.opened for prompt in prompts if prompt.opened)),
        thinks_apart=thinks_apart(model.tokenizer),
        learned_with=learned_with,
    )


def _learned_with(start: Path | None) -> Mapping[str, Json] | None:
    """The values for the chat template in the run that a checkpoint is from; None: it is not in a run."""
    if start is None:
        return None
    try:
        return load_run_config(RunDirectory.open(start.parent.parent)).model.chat_template_kwargs
    except VerifineError:
        return None
