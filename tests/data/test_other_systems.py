"""Rows in the shapes of other systems: those that the page on data shows are read and graded, in every format alike."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from verifine.config import RunConfig, load_config
from verifine.data import Examples, read_examples
from verifine.graders import build_grader
from verifine.graders.row_faults import find_row_fault
from verifine.types import Example, Sample

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Rows made for other systems")[2].partition("\n## ")[0]
SHOWN = re.findall(r"^```jsonl\n(.*?)^```\n\n```yaml\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
SUM = "```python\nprint(sum(map(int, input().split())))\n```"
PRODUCT = "```python\na, b = map(int, input().split())\nprint(a * b)\n```"
ANSWERS = [
    ("I add them.\n#### 38", "There are 37."),
    (SUM, PRODUCT),
    (r"\boxed{\frac{1}{6}}", r"\boxed{\frac{1}{5}}"),
    ("<answer>31</answer>", "<answer>32</answer>"),
    ("It is Oslo.", "It is Bergen."),
    ("No", "Yes"),
    ("An apple.", "A chair."),
    ("It is 7 degrees.", "It is 9 degrees."),
    ("3,000 metres", "30 metres"),
    (SUM, PRODUCT),
]
"""A right and a wrong answer to each of the rows, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the page with the config that it is trained with."""

    text: str
    config: str
    right: str
    wrong: str


ROWS = [
    Row(text=text, config=config, right=right, wrong=wrong)
    for (text, config), (right, wrong) in zip(SHOWN, ANSWERS, strict=True)
]


def config_of(row: Row, folder: Path) -> RunConfig:
    path = folder / "run.yaml"
    path.write_text(row.config)
    return load_config(path)


def write_csv(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()})


def in_every_format(text: str, folder: Path) -> list[Path]:
    """The same rows as JSON Lines, Parquet and CSV."""
    rows = [json.loads(line) for line in text.splitlines()]
    paths = [folder / f"train.{suffix}" for suffix in ("jsonl", "parquet", "csv")]
    paths[0].write_text(text, encoding="utf-8")
    parquet.write_table(pa.Table.from_pylist(rows), paths[1])
    write_csv(paths[2], rows)
    return paths


def scores(config: RunConfig, example: Example, *answers: str) -> list[float | None]:
    assert config.grader is not None
    grader = build_grader(config.grader)
    try:
        return [each.score for each in grader.grade([Sample(output_text=text, item=example.item) for text in answers])]
    finally:
        grader.close()


def read(path: Path, config: RunConfig) -> Examples:
    return read_examples(path, config.data.columns, config.data.system_prompt)


def test_the_page_shows_rows_of_five_systems() -> None:
    assert re.findall(r"^### (.*)$", SECTION, re.MULTILINE) == [
        "verl", "TRL", "OpenRLHF", "OpenAI", "prime-rl and verifiers",
    ]  # fmt: skip
    assert len(re.findall(r"^```jsonl", SECTION, re.MULTILINE)) == len(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text[:30])
def test_a_row_of_another_system_is_graded_as_it_is_in_every_format(row: Row, tmp_path: Path) -> None:
    config = config_of(row, tmp_path)
    assert config.grader is not None
    prints, whole = set(), []
    for path in in_every_format(row.text, tmp_path):
        examples = read(path, config)
        (example,) = examples
        assert find_row_fault(config.grader, example.item) is None
        right, wrong = scores(config, example, row.right, row.wrong)
        assert right == 1, path
        assert wrong is not None and wrong < 0.5, path  # noqa: PT018 - a score is there, and low
        prints.add((*examples.fingerprints, *(message.role for message in example.messages)))
        whole.append(replace(example, place=""))
    assert len(prints) == 1
    # Every value of a CSV file is text; the others have the same rows to the last value.
    assert whole[0] == whole[1]


VERL = {
    "prompt": [{"role": "user", "content": "1 + 1?"}],
    "reward_model": {"style": "rule", "ground_truth": "2"},
    "extra_info": {"index": 0},
}


@pytest.mark.parametrize(
    ("row", "columns", "item"),
    [
        (VERL, {"gt_answer": "reward_model.ground_truth"}, {"gt_answer": "2"}),
        (VERL, {"id": "extra_info.index", "question": "prompt[0].content"}, {"id": 0, "question": "1 + 1?"}),
        # A nested field as JSON text, as tables and some trainers write it.
        ({"prompt": "a", "info": '{"deep": {"er": [5, 6]}}'}, {"gt_answer": "info.deep.er[1]"}, {"gt_answer": 6}),
        ({"prompt": "a", "info": '{"deep": "[7]"}'}, {"gt_answer": "info.deep[0]"}, {"gt_answer": 7}),
        # A flattened table has the dots in its columns' names.
        ({"prompt": "a", "reward.truth": "3"}, {"gt_answer": "reward.truth"}, {"gt_answer": "3"}),
        ({"prompt": "a", "x.y": {"z": 4}}, {"gt_answer": "x.y.z"}, {"gt_answer": 4}),
        # Names that are no paths.
        ({"prompt": "a", "right answer (v2.0)?": 8}, {"gt_answer": "right answer (v2.0)?"}, {"gt_answer": 8}),
        ({"prompt": "a", "x": {"y z": 9}}, {"gt_answer": 'x["y z"]'}, {"gt_answer": 9}),
        # A field may be replaced by what is inside it.
        ({"prompt": "a", "info": {"info": 1}}, {"info": "info.info"}, {"info": 1}),
    ],
)  # fmt: skip
def test_columns_take_paths(
    row: dict[str, object], columns: dict[str, str], item: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row))
    (example,) = read_examples(path, columns)
    assert {name: example.item[name] for name in item} == item


def test_what_a_path_was_taken_from_stays(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(VERL))
    (example,) = read_examples(path, {"gt_answer": "reward_model.ground_truth"})
    assert example.item["reward_model"] == VERL["reward_model"]


@pytest.mark.parametrize(
    "prompt",
    [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}],
        '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}]',
        {"role": "user", "content": "a"},
    ],
)
def test_a_prompt_may_be_a_chat(prompt: object, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"prompt": prompt}))
    (example,) = read_examples(path)
    assert (example.messages[-1].role, example.messages[-1].content) == ("user", "a")


@pytest.mark.parametrize("prompt", ['["a", "b"]', '[{"x": 1}]', "[1, 2", "{}", '{"role": "user"}', "[]"])
def test_a_prompt_that_only_looks_like_json_is_asked_as_it_is(prompt: str, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"prompt": prompt}))
    (example,) = read_examples(path)
    assert example.messages[0].content == prompt


def test_messages_and_tools_may_be_json_text_in_json_lines_too(tmp_path: Path) -> None:
    function = {"name": "add", "parameters": json.dumps({"type": "object", "properties": {"a": {"type": "number"}}})}
    tools = [json.dumps({"type": "function", "function": function})]
    row = {"messages": json.dumps([{"role": "user", "content": "a"}]), "tools": json.dumps(tools)}
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row))
    (example,) = read_examples(path)
    assert example.messages[0].content == "a"
    assert example.tools == (
        {
            "type": "function",
            "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}},
        },
    )
