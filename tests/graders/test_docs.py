"""The page of graders: every grader on it is one, and every example scores what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter

from verifine.config import GRADER_PRESETS, AnyGrader, GraderConfig
from verifine.graders import build_grader
from verifine.types import Sample

PAGE = (Path(__file__).parents[2] / "docs" / "graders.md").read_text(encoding="utf-8")
ADAPTER: TypeAdapter[AnyGrader] = TypeAdapter(GraderConfig)

BODY = r"((?:(?!```).*\n)+)```"
CONFIGS = [text for text in re.findall(rf"^```json\n{BODY}", PAGE, re.MULTILINE) if '"type"' in text]
EXAMPLES = re.findall(rf"^```json\n{BODY}\n\n```jsonl\n{BODY}", PAGE, re.MULTILINE)


def type_of(text: str) -> str:
    return str(json.loads(text)["type"])


def test_every_type_of_grader_has_a_section_and_an_example() -> None:
    types = {get_args(schema.model_fields["type"].annotation)[0] for schema in get_args(AnyGrader)}
    assert set(re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)) == types
    assert {type_of(config) for config in CONFIGS} >= types - {"label_model"}
    asks_others = {"score_model", "label_model", "endpoint"}
    assert {type_of(config) for config, _ in EXAMPLES} == types - asks_others


@pytest.mark.parametrize("config", CONFIGS, ids=type_of)
def test_every_config_on_the_page_is_valid(config: str) -> None:
    ADAPTER.validate_python(json.loads(config))


def test_every_preset_is_on_the_page() -> None:
    assert [name for name in GRADER_PRESETS if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize(("config", "rows"), EXAMPLES, ids=[type_of(config) for config, _ in EXAMPLES])
def test_every_example_scores_what_the_page_says(config: str, rows: str) -> None:
    examples = [json.loads(row) for row in rows.splitlines()]
    grader = build_grader(ADAPTER.validate_python(json.loads(config)))
    try:
        grades = grader.grade([Sample(output_text=row["sample"], item=row["item"]) for row in examples])
    finally:
        grader.close()
    wanted = [row["score"] for row in examples]
    assert [grade.score for grade in grades] == [score if score is None else pytest.approx(score) for score in wanted]
