"""The tables of the page of graders: every score in them is the one that the grader gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter

from verifine.config import AnyGrader, GraderConfig
from verifine.config.graders.text_similarity import SimilarityMetric
from verifine.graders import build_grader
from verifine.types import Grade, Json, Sample

PAGE = (Path(__file__).parents[2] / "docs" / "graders.md").read_text(encoding="utf-8")
ADAPTER: TypeAdapter[AnyGrader] = TypeAdapter(GraderConfig)
OUTPUT, GT = "{{ sample.output_text }}", "{{ item.gt_answer }}"


def section(heading: str) -> str:
    return PAGE.partition(f"### `{heading}`")[2].partition("\n### ")[0]


def table(text: str, first_column: str) -> list[list[str]]:
    """The cells of the table with this first column, without its heading."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    begin = next(index for index, row in enumerate(rows) if row[0].startswith(first_column))
    found = []
    for row in rows[begin + 2 :]:
        if len(row) != len(rows[begin]):
            break
        found.append([cell.strip() for cell in row])
    return found


def code(cell: str) -> str:
    return cell.strip("`")


def grade(config: dict[str, Json], answer: str, item: dict[str, Json]) -> Grade:
    grader = build_grader(ADAPTER.validate_python(config))
    try:
        (found,) = grader.grade([Sample(output_text=answer, item=item)])
    finally:
        grader.close()
    return found


SIMILAR = table(section("text_similarity"), "answer")
METRICS = [metric for metric in get_args(SimilarityMetric) if metric != "cosine"]


@pytest.mark.parametrize("row", SIMILAR, ids=lambda row: row[0][:30])
def test_likeness_is_as_the_table_says(row: list[str]) -> None:
    config: dict[str, Json] = {"type": "text_similarity", "input": OUTPUT, "reference": "The cat sat on the mat."}
    scores = [grade({**config, "evaluation_metric": metric}, code(row[0]), {}).score for metric in METRICS]
    assert [f"{score:.2f}" for score in scores] == row[1:]


@pytest.mark.parametrize("row", table(section("math"), "answer"), ids=lambda row: row[0])
def test_mathematics_is_as_the_table_says(row: list[str]) -> None:
    found = grade({"type": "math", "answer_in": "boxed"}, code(row[0]), {"gt_answer": code(row[1])})
    assert found.score == float(row[2].partition(":")[0])


CASES: Json = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
PROGRAMS = [row for row in table(section("code"), "program") if row[0].startswith("`")]


@pytest.mark.parametrize("row", PROGRAMS, ids=lambda row: row[0][:30])
@pytest.mark.parametrize(("scoring", "column"), [("all", 1), ("share", 2)])
def test_programs_are_as_the_table_says(row: list[str], scoring: str, column: int) -> None:
    program = re.findall("`([^`]*)`", row[0])[0]
    found = grade({"type": "code", "scoring": scoring}, f"```python\n{program}\n```", {"test_cases": CASES})
    assert found.score == float(row[column])


def test_there_are_tables_to_try() -> None:
    assert (len(SIMILAR), len(PROGRAMS), len(table(section("math"), "answer"))) >= (8, 3, 8)


POWERS = re.findall(r"`([-0-9]+\^[-0-9^]+)` is (-?[0-9]+(?:\.[0-9]+)?)", section("multi"))


def test_powers_are_as_the_page_says() -> None:
    assert len(POWERS) == 3
    part: Json = {"a": {"type": "format", "pattern": ".*"}}
    for formula, value in POWERS:
        config: dict[str, Json] = {"type": "multi", "graders": part, "calculate_output": formula}
        assert grade(config, "x", {}).score == float(value)
