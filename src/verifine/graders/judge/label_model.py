"""OpenAI's label_model: the judge chooses a label."""

from __future__ import annotations

import json
from collections.abc import Sequence

from verifine.config.graders import JudgeSampling, LabelModelGraderConfig
from verifine.graders.judge.question import Question, UnreadableResultError, instruct, show_result
from verifine.types import Json


def label_question(config: LabelModelGraderConfig) -> Question:
    """One of some labels; those that pass are worth 1, the others 0."""
    return Question(
        name=config.name,
        model=config.model,
        messages=config.input,
        sampling=config.sampling_params or JudgeSampling(),
        instruction=instruct("label", f"The result is exactly one of these labels: {_listed(config.labels)}."),
        result_schema={"type": "string", "enum": list(config.labels)},
        score=lambda result: float(_label(result, config.labels) in config.passing_labels),
        decides=True,
        identity=config.model_dump_json(),
    )


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(json.dumps(label, ensure_ascii=False) for label in labels)


def _label(result: Json, labels: Sequence[str]) -> str:
    if not isinstance(result, str) or result not in labels:
        raise UnreadableResultError(f"its result is {show_result(result)}, not one of {_listed(labels)}")
    return result
