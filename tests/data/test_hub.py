"""Datasets of the hub, read through the same package from a folder: no test asks the hub itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from verifine.config.dataset import HubDataset
from verifine.data import read_examples
from verifine.data.hub import open_hub
from verifine.data.rows import Row
from verifine.errors import DataError
from verifine.types import Message


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package writes lock files, even where it keeps no data."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def folder(tmp_path: Path, **splits: dict[str, Any]) -> HubDataset:
    """A dataset folder as the hub has it, a Parquet file a split."""
    path = tmp_path / "owner-name"
    (path / "data").mkdir(parents=True)
    for split, columns in splits.items():
        parquet.write_table(pa.table(columns), path / "data" / f"{split}-00000-of-00001.parquet")
    return HubDataset(name=str(path))


def test_a_split_is_read_with_the_column_map(tmp_path: Path) -> None:
    train = {"question": ["a", "b"], "answer": ["1", "2"]}
    dataset = folder(tmp_path, train=train, test={"question": ["c"], "answer": ["3"]})
    examples = read_examples(dataset, {"prompt": "question", "gt_answer": "answer"}, "Be brief.")
    assert [example.messages for example in examples] == [
        (Message(role="system", content="Be brief."), Message(role="user", content=question)) for question in "ab"
    ]
    assert [example.item for example in examples] == [{"gt_answer": "1"}, {"gt_answer": "2"}]
    assert examples[1].place == f"{dataset} row 2"
    test = read_examples(HubDataset(name=dataset.name, split="test"), {"prompt": "question", "gt_answer": "answer"})
    assert [example.item for example in test] == [{"gt_answer": "3"}]


def test_json_files_whose_rows_differ_are_read(tmp_path: Path) -> None:
    path = tmp_path / "owner-name"
    path.mkdir()
    parts = [{"type": "text", "text": "b"}]
    rows = [
        {"messages": [{"role": "user", "content": "a"}], "gt_answer": "1"},
        {"messages": [{"role": "user", "content": parts}], "gt_answer": "2", "extra": {"x": 1}},
    ]
    (path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    examples = read_examples(HubDataset(name=str(path)))
    assert [example.messages[0].content for example in examples] == ["a", "b"]
    assert [example.item for example in examples] == [
        {"gt_answer": "1", "extra": None},
        {"gt_answer": "2", "extra": {"x": 1}},
    ]


def test_rows_are_counted_over_batches(tmp_path: Path) -> None:
    source = open_hub(folder(tmp_path, train={"prompt": [f"q{number}" for number in range(1, 601)]}))
    rows = list(source.rows)
    assert [row.number for row in rows] == list(range(1, 601))
    assert all(isinstance(row, Row) and row.fields == {"prompt": f"q{row.number}"} for row in rows)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"prompt": ["a", None]}, 'row 2: "prompt" is null; it must be text'),
        ({"prompt": ["a"], "x": [b"x"]}, ': the column "x" holds values of type binary, which JSON cannot say'),
        ({"text": ["a"]}, ' has no column "messages" or "prompt". The fields are "text"; say which one is asked, for '),
    ],
)
def test_data_that_cannot_be_used_is_told(tmp_path: Path, columns: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        read_examples(folder(tmp_path, train=columns))
    assert expected in str(caught.value)


def test_a_split_or_configuration_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    dataset = folder(tmp_path, train={"prompt": ["a"]})
    with pytest.raises(DataError, match=r"split=tst: .*\['train'\]"):
        read_examples(HubDataset(name=dataset.name, split="tst"))
    with pytest.raises(DataError, match="'mian' not found"):
        read_examples(HubDataset(name=dataset.name, config="mian"))


def test_a_hub_that_cannot_be_reached_is_told_with_the_way_out() -> None:
    with pytest.raises(DataError) as caught:
        read_examples(HubDataset(name="nobody/nothing", config="main"))
    told = str(caught.value)
    assert told.startswith("hf://nobody/nothing/main?split=train ")
    assert "ConnectionError" in told
    assert "hf download --repo-type dataset nobody/nothing" in told


def test_code_of_a_dataset_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "owner-name"
    path.mkdir()
    (path / "owner-name.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_examples(HubDataset(name=str(path)))
    assert not (tmp_path / "ran").exists()


def test_a_folder_here_is_not_taken_for_the_hubs_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="folder.*owner/name"):
        read_examples(HubDataset(name="owner/name"))


def test_a_split_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "owner-name"
    path.mkdir()
    (path / "train.csv").write_text("prompt,gt_answer\n")
    with pytest.raises(DataError, match="no rows"):
        read_examples(HubDataset(name=str(path)))
