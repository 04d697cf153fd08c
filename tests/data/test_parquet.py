from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from verifine.data import read_examples
from verifine.errors import DataError
from verifine.types import Message


def write(folder: Path, columns: dict[str, Any], **options: Any) -> Path:
    path = folder / "train.parquet"
    parquet.write_table(pa.table(columns), path, **options)
    return path


def problem(path: Path, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(path, columns)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_prompts_and_items_are_read_with_the_row_as_place(tmp_path: Path) -> None:
    path = write(tmp_path, {"question": ["a", "b"], "answer": [1, None], "tags": [["x"], []]})
    first, second = read_examples(path, {"prompt": "question", "gt_answer": "answer"})
    assert first.messages == (Message(role="user", content="a"),)
    assert first.item == {"gt_answer": 1, "tags": ["x"]}
    assert second.item == {"gt_answer": None, "tags": []}
    assert (second.id, second.place) == ("2", f"{path} row 2")


def test_rows_are_counted_over_row_groups_and_batches(tmp_path: Path) -> None:
    path = write(tmp_path, {"prompt": [f"q{number}" for number in range(1, 1001)]}, row_group_size=300)
    examples = read_examples(path)
    assert [example.messages[0].content for example in examples] == [f"q{example.id}" for example in examples]
    assert len(examples) == 1000


def test_chats_and_tools_are_lists_of_structs_or_json_text(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    # One type for all rows: a struct has every field that any row has, with null where a row has none.
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": None}}}]
    structs = write(tmp_path, {"messages": [chat, [{**chat[1], "name": None}]], "tools": [tools, None]})
    first, second = read_examples(structs)
    assert first.messages == (Message(role="system", content="s"), Message(role="user", content="u"))
    assert first.tools == ({"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}},)
    assert (second.messages, second.tools) == (first.messages[1:], ())
    texts = write(tmp_path, {"messages": [json.dumps(chat)], "tools": [json.dumps(first.tools)]})
    (again,) = read_examples(texts)
    assert (again.messages, again.tools) == (first.messages, first.tools)


def test_what_json_has_no_word_for_becomes_text_where_that_loses_nothing(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 600_000)
    path = write(
        tmp_path,
        {
            "prompt": pa.array(["a"]).dictionary_encode(),
            "date": [date(2026, 1, 2)],
            "time": [time(3, 4, 5)],
            "moment": pa.array([moment], pa.timestamp("us")),
            "zoned": pa.array([moment.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
            "price": [Decimal("1.10")],
            "small": pa.array([1.5], pa.float32()),
            "large": pa.array([2**64 - 1], pa.uint64()),
            "map": pa.array([[("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int64())),
            "deep": [{"when": [date(2026, 1, 2)]}],
            "json": pa.array(['{"a": [1]}'], pa.json_()),
        },
    )
    (example,) = read_examples(path)
    assert example.item == {
        "date": "2026-01-02",
        "time": "03:04:05",
        "moment": "2026-01-02T03:04:05.600000",
        "zoned": "2026-01-02T03:04:05.600000+00:00",
        "price": "1.10",
        "small": 1.5,
        "large": 2**64 - 1,
        "map": {"a": 1, "b": None},
        "deep": {"when": ["2026-01-02"]},
        "json": {"a": [1]},
    }


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([b"x"]), "values of type binary"),
        (pa.array([[b"x"]]), "values of type binary"),
        (pa.array([{"bytes": b"x", "path": "a.png"}]), "values of type binary"),
        (pa.array([1], pa.duration("s")), "values of type duration[s]"),
        (pa.array([[(1, "a")]], pa.map_(pa.int64(), pa.string())), "maps with keys of type int64"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_column_that_json_cannot_say_is_refused_by_name(tmp_path: Path, column: pa.Array, expected: str) -> None:
    assert problem(write(tmp_path, {"prompt": ["a"], "picture": column})) == (
        f'train.parquet: the column "picture" holds {expected}, which JSON cannot say; write it as text, or remove the '
        "column"
    )


def test_a_value_that_json_cannot_say_is_refused_by_its_row(tmp_path: Path) -> None:
    broken = pa.StringArray.from_buffers(
        2, pa.py_buffer(b"\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"), pa.py_buffer(b"a\xff")
    )
    columns = {
        "prompt": ["a", "b"],
        "x": [[1.0], [float("nan")]],
        "text": broken,
    }
    told = problem(write(tmp_path, columns))
    assert told.startswith('train.parquet row 2: "x" ')
    assert "(nan)" in told
    del columns["x"]
    assert problem(write(tmp_path, columns)).startswith('train.parquet row 2: "text" is not UTF-8')


def test_the_first_five_bad_rows_are_told(tmp_path: Path) -> None:
    told = problem(write(tmp_path, {"prompt": ["a", "b", None, " ", "", None, "", "", "c"]})).splitlines()
    assert told[0].startswith('train.parquet row 3: "prompt" is null')
    assert told[-2].startswith('train.parquet row 7: "prompt" is empty')
    assert told[-1] == "and 1 more"


def test_a_row_over_the_limit_is_refused(tmp_path: Path) -> None:
    told = problem(write(tmp_path, {"prompt": ["a"], "text": ["x" * 2_000_000]}))
    assert told.startswith("train.parquet row 1: ")
    assert "2,000,0" in told
    assert "1,048,576 bytes (1 MiB)" in told


def test_columns_that_do_not_fit_are_told_once(tmp_path: Path) -> None:
    path = write(tmp_path, {"question": ["a"] * 10, "answer": ["b"] * 10})
    told = problem(path)
    assert len(told.splitlines()) == 1
    assert re.match('train.parquet .*"messages" or "prompt".*"question", ', told)
    assert re.match('train.parquet: .*"qestion".*"question".*data.columns', problem(path, {"prompt": "qestion"}))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    parquet.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["prompt", "prompt"]), path)
    assert problem(path) == 'train.parquet: two columns are called "prompt"; rename one of them'


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"prompt": pa.array([], pa.string())})
    assert problem(path) == "train.parquet holds no examples; give it at least one row"


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    texts = [f"question {number}" for number in range(5000)]
    path = write(tmp_path, {"prompt": texts}, use_dictionary=False, compression="gzip")
    data = bytearray(path.read_bytes())
    data[200:2200] = b"\xff" * 2000
    path.write_bytes(data)
    assert problem(path).startswith("train.parquet is damaged from row 1 on (")


@pytest.mark.parametrize(("location", "package"), [("train.parquet", "pyarrow"), ("hf://a/b", "datasets")])
def test_without_its_package_a_format_says_what_to_install(tmp_path: Path, location: str, package: str) -> None:
    write(tmp_path, {"prompt": ["a"]})
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from verifine.config.dataset import parse_location\nfrom verifine.data import read_examples\n"
        "from verifine.errors import SetupError\n"
        "try:\n    read_examples(parse_location(sys.argv[1]))\nexcept SetupError as error:\n    print(error)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, location],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    name = "train.parquet" if package == "pyarrow" else "hf://a/b?split=train"
    assert printed == (
        f"{name} is read with the package {package}, which is not installed; pip install 'verifine[data]'\n"
    )


def test_jsonl_needs_no_optional_package(tmp_path: Path) -> None:
    program = "import sys; import verifine.data; print(sorted({'pyarrow', 'datasets', 'torch'} & set(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed == "[]\n"
